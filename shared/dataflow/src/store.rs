//! The store: it claims, loads and commits the batches of stages.
//!
//! A store holds the tables of one service's stages, their batch records and their journal. One commit writes all three
//! or none. Its first statement inserts the batch record, which is the fence: an owner that finds the number taken is
//! no longer the owner. A commit with an unknown result reports that ([`CommitError::InDoubt`]) and is never retried
//! blindly.

mod decode;
mod failure;
mod faults;
mod inventory;
pub(crate) mod memory;
mod meta;
mod postgres;
pub(crate) mod sqlite;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stage::{BatchNumber, Cell, Change, Frame, Producer, ReadSet, Record, Row, Seq, StreamPartition, Table};

pub use faults::{CommitFault, Faults};
pub use inventory::Inventory;
pub use memory::Memory;
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
    #[error("another owner has taken this partition")]
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

#[derive(Clone, Debug)]
enum Engine {
    Memory(Memory),
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// A service's store. Cheap to clone; all clones share the same store.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
    faults: Faults,
}

impl From<Memory> for Store {
    fn from(memory: Memory) -> Self {
        Self { engine: Engine::Memory(memory), faults: Faults::default() }
    }
}

impl From<Sqlite> for Store {
    fn from(sqlite: Sqlite) -> Self {
        Self { engine: Engine::Sqlite(Arc::new(sqlite)), faults: Faults::default() }
    }
}

impl From<Postgres> for Store {
    fn from(postgres: Postgres) -> Self {
        Self { engine: Engine::Postgres(Arc::new(postgres)), faults: Faults::default() }
    }
}

/// Calls the same method on the engine in use.
macro_rules! engine {
    ($self:ident . $method:ident ( $($argument:expr),* )) => {
        match &$self.engine {
            Engine::Memory(memory) => memory.$method($($argument),*),
            Engine::Sqlite(sqlite) => sqlite.$method($($argument),*).await,
            Engine::Postgres(postgres) => postgres.$method($($argument),*).await,
        }
    };
}

impl Store {
    /// The same store with injected faults in its commits.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The same store for owners, on connections of their own: however many requests read, owners never wait for them.
    #[must_use]
    pub fn for_owners(&self) -> Self {
        let engine = match &self.engine {
            Engine::Memory(memory) => Engine::Memory(memory.clone()),
            Engine::Sqlite(sqlite) => Engine::Sqlite(Arc::new(sqlite.for_owners())),
            Engine::Postgres(postgres) => Engine::Postgres(Arc::new(postgres.for_owners())),
        };
        Self { engine, faults: self.faults.clone() }
    }

    /// The same store for publishers, on the connections that they also use to store publish positions.
    #[must_use]
    pub fn for_publishers(&self) -> Self {
        match &self.engine {
            // Their journals are the streams, so nothing is published.
            Engine::Memory(_) | Engine::Sqlite(_) => self.clone(),
            Engine::Postgres(postgres) => {
                Self { engine: Engine::Postgres(Arc::new(postgres.for_publishers())), faults: self.faults.clone() }
            }
        }
    }

    /// The metadata of the store.
    pub fn meta(&self) -> &Meta {
        match &self.engine {
            Engine::Memory(memory) => memory.meta(),
            Engine::Sqlite(sqlite) => sqlite.meta(),
            Engine::Postgres(postgres) => postgres.meta(),
        }
    }

    /// Writes a whole batch or nothing. Returns how long it took.
    ///
    /// # Errors
    /// [`CommitError`] tells what is known about the batch.
    pub async fn commit(&self, commit: &Commit) -> Result<Duration, CommitError> {
        let (fault, started) = (self.faults.troubles().to_come.pop_front().flatten(), Instant::now());
        match fault {
            None => engine!(self.commit(commit)).map(|()| started.elapsed()),
            Some(CommitFault::Refused) => Err(CommitError::Unavailable("refused on purpose".into())),
            Some(CommitFault::LostBefore) => Err(CommitError::InDoubt("lost on purpose".into())),
            Some(CommitFault::LostAfter) => {
                engine!(self.commit(commit))?;
                Err(CommitError::InDoubt("reply lost on purpose".into()))
            }
            Some(CommitFault::Late) => {
                self.faults.troubles().late.push_back(commit.clone());
                Err(CommitError::InDoubt("late on purpose".into()))
            }
        }
    }

    /// Lets the oldest late commit arrive, like one that an old session sent before it was ended. `None` when there is
    /// none.
    ///
    /// # Errors
    /// [`CommitError`] when it arrived too late.
    pub async fn land(&self) -> Option<Result<(), CommitError>> {
        let late = self.faults.troubles().late.pop_front();
        match late {
            Some(commit) => Some(engine!(self.commit(&commit))),
            None => None,
        }
    }

    /// The newest batch record of a stage's partition.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest(&self, owner: &Producer) -> Result<Option<Record>, StoreError> {
        self.faults.read()?;
        engine!(self.newest(owner))
    }

    /// Batch records from a number on, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(&self, owner: &Producer, from: BatchNumber, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.faults.read()?;
        engine!(self.records(owner, from, limit))
    }

    /// The newest batch record of each owner, as noted in a separate table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn chain_ends(&self) -> Result<Vec<(Producer, BatchNumber, String)>, StoreError> {
        self.faults.read()?;
        engine!(self.chain_ends())
    }

    /// The newest batch record of one owner, as noted in a separate table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn chain_end(&self, owner: &Producer) -> Result<Option<(BatchNumber, String)>, StoreError> {
        self.faults.read()?;
        engine!(self.chain_end(owner))
    }

    /// The rows that exist among these keys, by table.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self, keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
        let mut found = Vec::new();
        for (table, wanted) in keys.iter() {
            let rows = self.load_rows(table, wanted).await?;
            found.push(LoadedRows { table, wanted: wanted.clone(), rows });
        }
        Ok(found)
    }

    /// The rows of one table that exist among these keys.
    pub(crate) async fn load_rows(
        &self,
        table: &'static Table,
        wanted: &BTreeSet<Vec<Cell>>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.faults.read()?;
        engine!(self.load(table, wanted))
    }

    /// The number of rows in a table, for the audit.
    pub(crate) async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.faults.read()?;
        engine!(self.count(table))
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
        self.faults.read()?;
        engine!(self.scan(table, prefix, after, limit))
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
        self.faults.read()?;
        engine!(self.journal(producer, target, from, limit, max_bytes))
    }

    /// Every producer and target in the journal, with the last `seq`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn emitted(&self) -> Result<Vec<(Producer, StreamPartition, Seq)>, StoreError> {
        engine!(self.emitted())
    }

    /// The last `seq` of a producer for a target; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_seq(&self, producer: &Producer, target: &StreamPartition) -> Result<Seq, StoreError> {
        engine!(self.last_seq(producer, target))
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
        self.faults.read()?;
        engine!(self.last_frames(producer, targets))
    }

    /// The commit time of a batch, from its record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn committed_at(&self, owner: &Producer, number: BatchNumber) -> Result<Option<String>, StoreError> {
        engine!(self.committed_at(owner, number))
    }

    /// The actual content of the database, for the audit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn inventory(&self) -> Result<Inventory, StoreError> {
        engine!(self.inventory())
    }

    /// One row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get<R: Row>(&self, key: &R::Key) -> Result<Option<R>, StoreError> {
        let keys = BTreeSet::from([R::key_cells(key)]);
        let rows = engine!(self.load(R::TABLE, &keys))?;
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
        match &self.engine {
            Engine::Memory(_) => {}
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close(),
        }
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
