//! The store: it claims, loads and commits the batches of stages.
//!
//! A store holds the tables of one service's stages, their batch records and their journal. One commit writes all three
//! or none. It inserts the batch record, which is the fence: an owner that finds the number taken is no longer the owner.
//! A commit with an unknown result reports that ([`CommitError::InDoubt`]) and is never retried blindly.

mod decode;
mod encode;
mod engine;
mod failure;
mod inventory;
mod meta;
mod postgres;
mod runs;
mod sql;
mod sql_database;
pub(crate) mod sqlite;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stage::{BatchNumber, Cell, Change, Frame, Producer, ReadSet, Record, Row, Seq, StreamPartition, Table};

pub use engine::Engine;
pub use inventory::Inventory;
pub use meta::{Meta, StoredMeta};
pub use postgres::{Leased, Postgres, Quarantined};
pub(crate) use sqlite::Scratch;
pub use sqlite::Sqlite;

/// Everything that one batch writes.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its record, whose key is the fence.
    pub record: Record,
    /// The rows to write.
    pub changes: Vec<Change>,
    /// The frames, which are published afterwards.
    pub frames: Vec<Frame>,
}

/// An error of reading.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is unavailable. A retry may succeed.
    #[error("the database does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The stored data differs from what was written.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

impl From<stage::BadCell> for StoreError {
    fn from(bad: stage::BadCell) -> Self {
        StoreError::Damaged(bad.to_string())
    }
}

/// The reason why a commit did not succeed, or not certainly.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The number is taken: there is another owner. Nothing was written.
    #[error("another owner has claimed this partition")]
    Fenced,
    /// Nothing was written. A retry may succeed.
    #[error("the batch was not written")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The batch may or may not have been written. Claim, then read it back.
    #[error("it is unknown whether the batch was written")]
    InDoubt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row to insert already exists, or a row to update does not. Nothing was written.
    #[error("a row of {0} to insert already exists, or one to update does not")]
    Conflict(String),
}

/// A service's store. Cheap to clone; all clones share the same store.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<dyn Engine>,
}

impl<E: Engine + 'static> From<E> for Store {
    fn from(engine: E) -> Self {
        Self { engine: Arc::new(engine) }
    }
}

impl Store {
    /// The database of the store.
    #[must_use]
    pub fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    /// The same store for owners, on connections of their own: however many requests read, owners never wait for them.
    #[must_use]
    pub fn for_owners(&self) -> Self {
        Self { engine: self.engine.for_owners() }
    }

    /// The same store for publishers, on the connections that they also use to store publish positions.
    #[must_use]
    pub fn for_publishers(&self) -> Self {
        Self { engine: self.engine.for_publishers() }
    }

    /// The metadata of the store.
    pub fn meta(&self) -> &Meta {
        self.engine.meta()
    }

    /// Writes a whole batch or nothing. Returns how long it took.
    ///
    /// # Errors
    /// [`CommitError`]: what is known about the batch.
    pub async fn commit(&self, commit: &Commit) -> Result<Duration, CommitError> {
        let started = Instant::now();
        self.engine.commit(commit).await.map(|()| started.elapsed())
    }

    /// The newest batch record of a stage's partition.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest(&self, owner: &Producer) -> Result<Option<Record>, StoreError> {
        self.engine.newest(owner).await
    }

    /// Batch records from a number on, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(&self, owner: &Producer, from: BatchNumber, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.engine.records(owner, from, limit).await
    }

    /// The newest batch record of each owner, as noted in a separate table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn chain_ends(&self) -> Result<Vec<(Producer, BatchNumber, String)>, StoreError> {
        self.engine.chain_ends().await
    }

    /// The newest batch record of one owner, as noted in a separate table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn chain_end(&self, owner: &Producer) -> Result<Option<(BatchNumber, String)>, StoreError> {
        self.engine.chain_end(owner).await
    }

    /// The rows that exist among these keys, by table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self, keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
        self.engine.load_all(keys).await
    }

    /// The rows of one table that exist among these keys.
    pub(crate) async fn load_rows(
        &self,
        table: &'static Table,
        wanted: &BTreeSet<Vec<Cell>>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.engine.load(table, wanted).await
    }

    /// The number of rows in a table, for the audit.
    pub(crate) async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.engine.count(table).await
    }

    /// Rows in key order: those whose key begins with `prefix`, and of these the ones after `after` (the next part of
    /// the key; `None`: from the first), at most `limit`. All from one snapshot.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan(
        &self,
        table: &'static Table,
        prefix: &[Cell],
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.engine.scan(table, prefix, after, limit).await
    }

    /// Frames of a producer for a target from a `seq` on, in order: at most `limit`, and no further ones once the total
    /// size of their bodies reaches `max_bytes`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Frame>, StoreError> {
        self.engine.journal(producer, target, from, limit, max_bytes).await
    }

    /// Every producer and target in the journal, with the last `seq`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn emitted(&self) -> Result<Vec<(Producer, StreamPartition, Seq)>, StoreError> {
        self.engine.emitted().await
    }

    /// The last `seq` of a producer for a target; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_seq(&self, producer: &Producer, target: &StreamPartition) -> Result<Seq, StoreError> {
        self.engine.last_seq(producer, target).await
    }

    /// The last frame of a producer for each of these targets, where there is one; all from one snapshot.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_frames(
        &self,
        producer: &Producer,
        targets: &[&StreamPartition],
    ) -> Result<Vec<Frame>, StoreError> {
        self.engine.last_frames(producer, targets).await
    }

    /// The commit time of a batch, from its record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn committed_at(&self, owner: &Producer, number: BatchNumber) -> Result<Option<String>, StoreError> {
        self.engine.committed_at(owner, number).await
    }

    /// The actual content of the database, for the audit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn inventory(&self) -> Result<Inventory, StoreError> {
        self.engine.inventory().await
    }

    /// One row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get<R: Row>(&self, key: &R::Key) -> Result<Option<R>, StoreError> {
        let keys = BTreeSet::from([R::key_cells(key)]);
        let rows = self.engine.load(R::TABLE, &keys).await?;
        Ok(rows.first().map(|cells| R::from_cells(cells)).transpose()?)
    }

    /// [`Store::scan`] with typed rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rows<R: Row>(
        &self,
        prefix: &[Cell],
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<R>, StoreError> {
        let rows = self.scan(R::TABLE, prefix, after, limit).await?;
        Ok(rows.iter().map(|cells| R::from_cells(cells)).collect::<Result<_, _>>()?)
    }

    /// Closes the database. Every later call fails.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

/// The rows that were found for keys of one table.
#[derive(Debug)]
pub struct LoadedRows {
    /// The table.
    pub table: &'static Table,
    /// The requested keys.
    pub wanted: BTreeSet<Vec<Cell>>,
    /// The rows that exist.
    pub rows: Vec<Vec<Cell>>,
}
