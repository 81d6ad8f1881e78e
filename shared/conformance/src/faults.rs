//! A database that fails on purpose, for tests and the simulation.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stage::{BatchNumber, Cell, Consumed, Frame, Producer, ReadSet, Record, Seq, StreamPartition, Table};

use dataflow::{Commit, CommitError, Engine, Inventory, LoadedRows, Meta, Store, StoreError};

/// An injected fault of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The commit is refused, and nothing is written.
    Refused,
    /// The reply is lost, and so is the commit.
    LostBefore,
    /// The reply is lost, but the commit was written.
    LostAfter,
    /// The reply is lost, and the commit is still in flight: [`Faults::land`].
    Late,
}

/// The faults to inject, in order. Tests share them with the store they affect.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Troubles>>);

#[derive(Debug, Default)]
struct Troubles {
    to_come: VecDeque<Option<CommitFault>>,
    late: VecDeque<Commit>,
    reads_left: Option<u32>,
    skips_claims: bool,
}

impl Faults {
    /// The same store, with these faults.
    pub fn inject(&self, store: &Store) -> Store {
        FaultyEngine { engine: store.engine(), faults: self.clone() }.into()
    }

    /// Sets the outcome of the next commit that has none yet: this fault, or success.
    pub fn push(&self, fault: Option<CommitFault>) {
        self.troubles().to_come.push_back(fault);
    }

    /// Fails one read, after this many successful ones.
    pub fn fail_read(&self, after: u32) {
        self.troubles().reads_left = Some(after);
    }

    /// Pretends to commit claims, or does so no longer.
    pub fn skip_claims(&self, are_skipped: bool) {
        self.troubles().skips_claims = are_skipped;
    }

    /// Lets the oldest late commit arrive at this store, like one that an old session sent before it was ended. `None`
    /// when there is none.
    ///
    /// # Errors
    /// [`CommitError`] when it arrived too late.
    pub async fn land(&self, store: &Store) -> Option<Result<(), CommitError>> {
        let late = self.troubles().late.pop_front();
        match late {
            Some(commit) => Some(store.engine().commit(&commit).await),
            None => None,
        }
    }

    fn read(&self) -> Result<(), StoreError> {
        let left = &mut self.troubles().reads_left;
        *left = match *left {
            None => return Ok(()),
            Some(0) => None,
            Some(left) => Some(left - 1),
        };
        if left.is_some() { Ok(()) } else { Err(StoreError::Unavailable("refused on purpose".into())) }
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A database with faults.
#[derive(Debug)]
struct FaultyEngine {
    engine: Arc<dyn Engine>,
    faults: Faults,
}

#[async_trait]
impl Engine for FaultyEngine {
    fn meta(&self) -> &Meta {
        self.engine.meta()
    }

    fn for_owners(&self) -> Arc<dyn Engine> {
        Arc::new(Self { engine: self.engine.for_owners(), faults: self.faults.clone() })
    }

    fn for_publishers(&self) -> Arc<dyn Engine> {
        Arc::new(Self { engine: self.engine.for_publishers(), faults: self.faults.clone() })
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let is_claim = || matches!(commit.record.parse_consumed(), Ok(Consumed::Claim));
        if self.faults.troubles().skips_claims && is_claim() {
            return Ok(());
        }
        let fault = self.faults.troubles().to_come.pop_front().flatten();
        match fault {
            None => self.engine.commit(commit).await,
            Some(CommitFault::Refused) => Err(CommitError::Unavailable("refused on purpose".into())),
            Some(CommitFault::LostBefore) => Err(CommitError::InDoubt("lost on purpose".into())),
            Some(CommitFault::LostAfter) => {
                self.engine.commit(commit).await?;
                Err(CommitError::InDoubt("reply lost on purpose".into()))
            }
            Some(CommitFault::Late) => {
                self.faults.troubles().late.push_back(commit.clone());
                Err(CommitError::InDoubt("late on purpose".into()))
            }
        }
    }

    async fn newest(&self, owner: &Producer) -> Result<Option<Record>, StoreError> {
        self.faults.read()?;
        self.engine.newest(owner).await
    }

    async fn records(&self, owner: &Producer, from: BatchNumber, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.faults.read()?;
        self.engine.records(owner, from, limit).await
    }

    async fn chain_ends(&self) -> Result<Vec<(Producer, BatchNumber, String)>, StoreError> {
        self.faults.read()?;
        self.engine.chain_ends().await
    }

    async fn chain_end(&self, owner: &Producer) -> Result<Option<(BatchNumber, String)>, StoreError> {
        self.faults.read()?;
        self.engine.chain_end(owner).await
    }

    async fn load(&self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.faults.read()?;
        self.engine.load(table, keys).await
    }

    async fn load_all(&self, keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
        self.faults.read()?;
        self.engine.load_all(keys).await
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.faults.read()?;
        self.engine.count(table).await
    }

    async fn scan(
        &self,
        table: &'static Table,
        prefix: &[Cell],
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.faults.read()?;
        self.engine.scan(table, prefix, after, limit).await
    }

    async fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Frame>, StoreError> {
        self.faults.read()?;
        self.engine.journal(producer, target, from, limit, max_bytes).await
    }

    async fn emitted(&self) -> Result<Vec<(Producer, StreamPartition, Seq)>, StoreError> {
        self.engine.emitted().await
    }

    async fn last_seq(&self, producer: &Producer, target: &StreamPartition) -> Result<Seq, StoreError> {
        self.engine.last_seq(producer, target).await
    }

    async fn last_frames(&self, producer: &Producer, targets: &[&StreamPartition]) -> Result<Vec<Frame>, StoreError> {
        self.faults.read()?;
        self.engine.last_frames(producer, targets).await
    }

    async fn committed_at(&self, owner: &Producer, number: BatchNumber) -> Result<Option<String>, StoreError> {
        self.engine.committed_at(owner, number).await
    }

    async fn inventory(&self) -> Result<Inventory, StoreError> {
        self.engine.inventory().await
    }

    async fn close(&self) {
        self.engine.close().await;
    }
}
