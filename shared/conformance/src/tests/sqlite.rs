//! Tests of `SQLite` files, each set in its own folder.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use stage::{PartitionCount, Table};

use crate::{Damage, Failure, StoreFactory, fixture};
use dataflow::{Meta, Sqlite, Store, StoreError};

/// A folder of database files, deleted when it is dropped.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, service: &str) -> PathBuf {
        self.0.path().join(format!("{service}.sqlite"))
    }
}

/// Executes statements directly, without the store.
pub(crate) async fn execute(path: &Path, statements: &str) -> sqlx::Result<u64> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let done = sqlx::raw_sql(statements).execute(&mut connection).await?;
    connection.close().await?;
    Ok(done.rows_affected())
}

impl StoreFactory for Files {
    async fn open(&self, meta: Meta, tables: &'static [&'static Table]) -> Result<Store, StoreError> {
        Ok(Sqlite::open(&self.path(meta.service), meta, tables).await?.into())
    }

    async fn damage(&self, service: &'static str, damage: Damage) -> Result<(), Failure> {
        assert_eq!(execute(&self.path(service), &damage.statement()).await?, 1);
        Ok(())
    }
}

crate::conformance!(Files::new());

#[tokio::test]
async fn a_file_of_another_kind_is_not_opened() {
    let files = Files::new();
    let meta = fixture::meta("front").unwrap();
    files.open(meta.clone(), fixture::FRONT).await.unwrap().close().await;
    let path = files.path("front");
    assert_eq!(Sqlite::look(&path).await.unwrap().map(|seen| seen.partitions), Some(2));
    let others = [
        Meta { service: "back", ..meta.clone() },
        Meta { partitions: PartitionCount::new(3).unwrap(), ..meta.clone() },
    ];
    for other in others {
        assert!(matches!(Sqlite::open(&path, other.clone(), &[]).await, Err(StoreError::Damaged(_))), "{other:?}");
        assert!(matches!(Sqlite::open_to_read(&path, other).await, Err(StoreError::Damaged(_))));
    }
    execute(&path, "INSERT INTO meta VALUES ('more', '1')").await.unwrap();
    assert!(matches!(Sqlite::open_to_read(&path, meta.clone()).await, Err(StoreError::Damaged(_))));
    std::fs::write(&path, b"no database, but long enough to be looked at as one: it is only text").unwrap();
    assert!(matches!(Sqlite::open(&path, meta, &[]).await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn opening_for_reading_creates_and_changes_nothing() {
    let files = Files::new();
    let meta = fixture::meta("front").unwrap();
    assert!(Sqlite::open_to_read(&files.path("front"), meta.clone()).await.is_err());
    assert!(!files.path("front").exists());
    files.open(meta.clone(), fixture::FRONT).await.unwrap().close().await;
    let store = Store::from(Sqlite::open_to_read(&files.path("front"), meta).await.unwrap());
    assert_eq!(store.inventory().await.unwrap().tables, ["collected", "copied", "newest"]);
    assert!(fixture::claim::<fixture::Collect>(&store, fixture::Collect::default()).await.is_err());
}

#[tokio::test]
async fn a_commit_that_times_out_on_another_process_writes_nothing() {
    let files = Files::new();
    let store = files.open(fixture::meta("front").unwrap(), fixture::FRONT).await.unwrap();
    let mut collect = fixture::claim(&store, fixture::Collect::default()).await.unwrap();
    let options = SqliteConnectOptions::new().filename(files.path("front"));
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let stop = fixture::submit(&mut collect, vec![fixture::add("r", "a", 1)]).await.unwrap_err();
    assert!(matches!(stop, dataflow::OwnerError::Unavailable { .. }), "{stop:?}");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let (_, replies) = fixture::submit(&mut collect, vec![fixture::add("r", "a", 1)]).await.unwrap();
    assert_eq!(replies, [fixture::Reply::New]);
}
