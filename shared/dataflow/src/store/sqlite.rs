//! A store in one `SQLite` file: write-ahead log, fsync on every commit, one writer.
//!
//! A single connection writes. It is taken out of its slot for each commit and put back only when the transaction is
//! certainly over. An abandoned commit therefore drops the connection with it, and the database rolls back. Readers
//! never block the writer; requests share one pool of connections, owners another.

mod decode;
mod inventory;
mod page;
mod readers;
mod scratch;
mod sql;
mod write;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Connection as _, Row as _, SqliteConnection};
use stage::{Cell, Frame, Producer, ReadSet, Seq, StreamPartition, Table};
use tokio::sync::Mutex;

pub(crate) use self::scratch::Scratch;

use self::decode::at;
use self::inventory::check_tables;
use self::readers::Readers;
use self::write::write;
use super::decode::{Stored as _, frame, meta, number};
use super::encode::{bind, integer};
use super::engine::load_each;
use super::failure::unavailable;
use super::sql::{IS_USED, META, create, load};
use super::sql_database::SqlDatabase;
use super::{Commit, CommitError, Engine, LoadedRows, Meta, StoreError, StoredMeta};

/// The maximum number of connections for requests, and for owners. Each has a thread, a few files and a page cache.
const READERS_MAX: u32 = 8;
/// A request that gets no connection within this time gets 503.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Owners wait this long for a connection, even when there are many. A longer wait means that the disk does not
/// respond.
const OWNER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for another process that locks the file (a backup, an operator's shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// The page cache of a connection of the audit, which looks up rows all over a table: 8 MiB.
const AUDIT_CACHE: &str = "-8192";
/// Prepared statements kept per connection: enough for every statement of every table of a service.
const STATEMENTS_MAX: usize = 512;

/// A database file.
#[derive(Clone, Debug)]
pub struct Sqlite {
    meta: Meta,
    options: SqliteConnectOptions,
    writer: Arc<Mutex<Option<SqliteConnection>>>,
    /// The connections of all requests, or of all owners.
    readers: Readers,
    owners: Readers,
}

/// Whether a file may be created and changed, or only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is created if it does not exist.
    Write,
    /// For the audit of a stopped system: nothing is created or changed.
    Read,
}

impl Sqlite {
    /// Opens the file of a service. Creates it and its tables if it does not exist.
    ///
    /// # Errors
    /// When the file cannot be used, is damaged, or belongs to another service, layout or number of
    /// partitions.
    pub async fn open(path: &Path, meta: Meta, tables: &[&'static Table]) -> Result<Self, StoreError> {
        let store = Self::connect(path, meta, Access::Write);
        let mut writer = SqliteConnection::connect_with(&store.options).await.map_err(at(path))?;
        if is_empty(&mut writer).await.map_err(at(path))? {
            store.make(&mut writer, tables).await.map_err(at(path))?;
        }
        check_tables(&mut writer, path, tables).await?;
        *store.writer.lock().await = Some(writer);
        store.check_meta(path).await?;
        Ok(store)
    }

    /// Creates all tables and the metadata, or leaves the file empty.
    async fn make(&self, writer: &mut SqliteConnection, tables: &[&'static Table]) -> sqlx::Result<()> {
        let mut transaction = writer.begin().await?;
        sqlx::raw_sql(sql::SCHEMA).execute(&mut *transaction).await?;
        for table in tables {
            sqlx::query(&create::<sqlx::Sqlite>(table)).execute(&mut *transaction).await?;
        }
        for (key, value) in self.meta.rows() {
            let statement = sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?)").bind(key).bind(value);
            statement.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Opens an existing file for reading only. It does not check all of the content; [`inventory`] does.
    ///
    /// # Errors
    /// When the file is missing, is not a database, or belongs to another service.
    ///
    /// [`inventory`]: crate::Store::inventory
    pub async fn open_to_read(path: &Path, meta: Meta) -> Result<Self, StoreError> {
        let store = Self::connect(path, meta, Access::Read);
        store.check_meta(path).await?;
        Ok(store)
    }

    /// The metadata of a file, without changing it; `None` when the file does not exist or is empty.
    ///
    /// # Errors
    /// When the file cannot be read or has no metadata.
    pub async fn look(path: &Path) -> Result<Option<StoredMeta>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(at(path))?;
        if is_empty(&mut connection).await.map_err(at(path))? {
            return Ok(None);
        }
        let rows = sqlx::query(META).fetch_all(&mut connection).await.map_err(at(path))?;
        let owners = sqlx::query(IS_USED).fetch_one(&mut connection).await.map_err(at(path))?;
        let stored = meta(&rows).and_then(|rows| StoredMeta::of(&rows, number(&owners, "rows")? > 0));
        stored.map(Some).map_err(|error| error.at(path.display()))
    }

    fn connect(path: &Path, meta: Meta, access: Access) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS_MAX);
        let reading = options.clone().read_only(true);
        let reading = match access {
            Access::Read => reading.pragma("cache_size", AUDIT_CACHE),
            Access::Write => reading,
        };
        let readers = |turn| Readers::new(reading.clone(), READERS_MAX, turn);
        let (readers, owners) = (readers(REQUEST_TIMEOUT), readers(OWNER_TIMEOUT));
        let options = match access {
            Access::Read => reading,
            Access::Write => options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full),
        };
        Self { meta, options, writer: Arc::default(), readers, owners }
    }

    async fn check_meta(&self, path: &Path) -> Result<(), StoreError> {
        let rows = self.readers.fetch_all(sqlx::query(META)).await.map_err(at(path))?;
        let found = meta(&rows).map_err(|error| error.at(path.display()))?;
        self.meta.check(&found).map_err(|what| StoreError::Damaged(what).at(path.display()))
    }
}

impl SqlDatabase for Sqlite {
    type Dialect = sqlx::Sqlite;
    type Row = SqliteRow;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn for_owners(&self) -> Arc<dyn Engine> {
        Arc::new(Self { readers: self.owners.clone(), ..self.clone() })
    }

    /// Nothing is published from a file: its journal is the stream.
    fn for_publishers(&self) -> Arc<dyn Engine> {
        Arc::new(self.clone())
    }

    async fn fetch(&self, statement: &str, parameters: &[Cell]) -> Result<Vec<SqliteRow>, StoreError> {
        let query = parameters.iter().fold(sqlx::query(statement), bind);
        Ok(self.readers.fetch_all(query).await?)
    }

    async fn rows(
        &self,
        table: &'static Table,
        statement: &str,
        parameters: &[Cell],
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let text = page::page(table, statement);
        let query = parameters.iter().fold(sqlx::query(&text), bind);
        match self.readers.fetch_all(query).await.map_err(StoreError::from).and_then(|pages| rows_of(&pages)) {
            Ok(Some(pages)) => Ok(pages.into_iter().flatten().collect()),
            // Row by row the damage is named.
            Ok(None) | Err(StoreError::Damaged(_)) => {
                self.fetch(statement, parameters).await?.iter().map(|row| row.cells(table)).collect()
            }
            Err(error) => Err(error),
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let mut slot = self.writer.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.map_err(unavailable)?,
        };
        match write(&mut connection, commit).await {
            Ok(()) => {}
            Err(error) => {
                if sqlx::query("ROLLBACK").execute(&mut connection).await.is_ok() {
                    *slot = Some(connection);
                }
                return Err(error);
            }
        }
        // From here on the result of the transaction is up to the database; without a reply it is unknown.
        let ended = sqlx::query("COMMIT").execute(&mut connection).await;
        ended.map_err(|error| CommitError::InDoubt(Box::new(error)))?;
        *slot = Some(connection);
        Ok(())
    }

    async fn load(&self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, StoreError> {
        let keys = sql::json(keys.iter().map(Vec::as_slice));
        self.rows(table, &load::<sqlx::Sqlite>(table), &[Cell::Text(keys)]).await
    }

    /// One statement per table, and one round trip for all of them.
    async fn load_all(&self, keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
        let statements: Vec<_> =
            keys.iter().map(|(table, _)| page::page(table, &load::<sqlx::Sqlite>(table))).collect();
        let text = statements.join("; ");
        let keys_of = |keys: &BTreeSet<Vec<Cell>>| sql::json(keys.iter().map(Vec::as_slice));
        let query = keys.iter().fold(sqlx::query(&text), |query, (_, wanted)| query.bind(keys_of(wanted)));
        match self.readers.fetch_all(query).await.map_err(StoreError::from).and_then(|pages| rows_of(&pages)) {
            Ok(Some(rows)) => {
                let found = keys.iter().zip(rows);
                Ok(found.map(|((table, wanted), rows)| LoadedRows { table, wanted: wanted.clone(), rows }).collect())
            }
            // One by one, and row by row, the damage is named.
            Ok(None) | Err(StoreError::Damaged(_)) => load_each(self, keys).await,
            Err(error) => Err(error),
        }
    }

    async fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Frame>, StoreError> {
        let statement = "SELECT * FROM journal WHERE producer = ? AND target = ? AND seq >= ? ORDER BY seq LIMIT ?";
        let query = sqlx::query(statement).bind(producer.to_string()).bind(target.to_string());
        let mut reader = self.readers.take().await?;
        let mut rows = query.bind(integer(from.0)).bind(integer(limit as u64)).fetch(&mut *reader);
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes {
            let Some(row) = rows.try_next().await? else { break };
            let frame = frame(&row)?;
            bytes += frame.body.len();
            frames.push(frame);
        }
        drop(rows);
        reader.put_back();
        Ok(frames)
    }

    async fn last_frames(&self, producer: &Producer, targets: &[&StreamPartition]) -> Result<Vec<Frame>, StoreError> {
        let statement = "SELECT j.* FROM json_each(?1) w CROSS JOIN journal j ON j.producer = ?2 AND j.target = w.value \
             AND j.seq = (SELECT max(seq) FROM journal WHERE producer = ?2 AND target = w.value)";
        let targets: Vec<_> = targets.iter().map(|target| target.to_string()).collect();
        let query = sqlx::query(statement).bind(serde_json::Value::from(targets).to_string());
        let rows = self.readers.fetch_all(query.bind(producer.to_string())).await?;
        rows.iter().map(frame).collect()
    }

    async fn problems_and_tables(&self) -> Result<(Vec<String>, Vec<String>), StoreError> {
        self.report().await
    }

    /// Moves the rest of the log into the file, so that the file is complete even if it is copied alone.
    async fn close(&self) {
        for readers in [&self.readers, &self.owners] {
            readers.close().await;
        }
        let Some(mut connection) = self.writer.lock().await.take() else {
            return;
        };
        let moved = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
        if let Err(error) = moved.and(connection.close().await) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a database was not closed cleanly");
        }
    }
}

/// The rows of each page. `None` when a page holds what no column may hold.
fn rows_of(pages: &[SqliteRow]) -> Result<Option<Vec<Vec<Vec<Cell>>>>, StoreError> {
    pages.iter().map(|page| Ok(page::rows(page.try_get(0)?))).collect()
}

/// Whether nothing was ever created in the file, as after a crash at the very beginning.
async fn is_empty(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let tables = sqlx::query("SELECT count(*) FROM sqlite_master").fetch_one(connection).await?;
    Ok(tables.try_get::<i64, _>(0)? == 0)
}
