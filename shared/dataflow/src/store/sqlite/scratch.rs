//! Temporary rows, in a file without a name that is deleted with its connection.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Sqlite, SqliteConnection};
use stage::{Cell, Table};
use tokio::sync::Mutex;

use super::sql as sqlite_sql;
use crate::StoreError;
use crate::store::decode::{Stored as _, number};
use crate::store::encode::{bind, integer};
use crate::store::sql;

/// Settings for a temporary file: no journal, so that nothing is written twice. Up to 8 MiB of its pages stay in
/// memory.
const SETTINGS: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = -8192; PRAGMA temp_store = FILE";

/// Tables of an audit that are larger than its memory.
#[derive(Debug)]
pub(crate) struct Scratch(Mutex<SqliteConnection>);

impl Scratch {
    /// An empty scratch file.
    pub(crate) async fn new() -> Result<Self, StoreError> {
        // SQLite keeps a file without a name private and deletes it.
        let options = SqliteConnectOptions::new().filename("").create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Stores rows; a row with the key of an earlier one replaces it.
    pub(crate) async fn put(&self, table: &'static Table, rows: &[Vec<Cell>]) -> Result<(), StoreError> {
        let mut connection = self.0.lock().await;
        let mut transaction = connection.begin().await?;
        sqlx::query(&sql::create::<Sqlite>(table)).execute(&mut *transaction).await?;
        let rows = sqlite_sql::json(rows.iter().map(Vec::as_slice));
        sqlx::query(&sqlite_sql::replace(table)).bind(rows).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// The rows that exist among these keys. The table must have had a row stored before.
    pub(crate) async fn load(
        &self,
        table: &'static Table,
        keys: &BTreeSet<Vec<Cell>>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let mut connection = self.0.lock().await;
        let keys = sqlite_sql::json(keys.iter().map(Vec::as_slice));
        let rows = sqlx::query(&sql::load::<Sqlite>(table)).bind(keys).fetch_all(&mut *connection).await?;
        rows.iter().map(|row| row.cells(table)).collect()
    }

    /// Deletes the rows with these keys.
    pub(crate) async fn delete(&self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>) -> Result<(), StoreError> {
        let mut connection = self.0.lock().await;
        let mut transaction = connection.begin().await?;
        let text = sqlite_sql::delete(table);
        for key in keys {
            key.iter().fold(sqlx::query(&text), bind).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Rows after a key, in key order, at most `limit`.
    pub(crate) async fn scan(
        &self,
        table: &'static Table,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let mut connection = self.0.lock().await;
        let after = after.unwrap_or_default();
        let text = sql::scan::<Sqlite>(table, 0, after.len());
        let query = after.iter().fold(sqlx::query(&text), bind).bind(integer(limit as u64));
        query.fetch_all(&mut *connection).await?.iter().map(|row| row.cells(table)).collect()
    }

    /// The number of rows in a table.
    pub(crate) async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        let mut connection = self.0.lock().await;
        number(&sqlx::query(&sql::count(table)).fetch_one(&mut *connection).await?, "rows")
    }
}
