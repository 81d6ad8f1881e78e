//! What a stage is, and what it may say.

use std::collections::BTreeMap;

use crate::{
    BadCell, BatchNumber, Cause, Cell, Event, Key, Partition, PartitionCount, Partitioning, Payload, ReadSet, Stream,
    StreamPartition, Table, Unreadable, WorkingSet, partition_of,
};

/// How often [`Stage::read_set`] is called for a batch at most: a row may name a row that names a row. A
/// stage that still asks for more then is broken.
pub const LOAD_ROUNDS_MAX: usize = 4;

/// A pure function from facts to changed rows and new facts.
///
/// Synchronous and total: no clock, no randomness, no I/O, no logging. Time, ids, rates and terms
/// arrive as data. A refusal is an output, not an error.
pub trait Stage: Send + Unpin + 'static {
    /// The facts it reads; for an ingress stage, the requests it takes.
    type Input: Payload;
    /// The facts it emits.
    type Output: Payload;

    /// Its name, part of every producer's name.
    const NAME: &'static str;
    /// How its partitions follow from those of the streams.
    const PARTITIONING: Partitioning;
    /// The streams it reads; none for an ingress stage.
    const READS: &'static [&'static Stream] = &[];
    /// The tables that it, and only it, writes.
    const TABLES: &'static [&'static Table];

    /// Adds the rows that `apply` needs to the read set.
    ///
    /// It is called again after each load until it asks for nothing new, [`LOAD_ROUNDS_MAX`] times at most, so that one
    /// row can name the next. The default asks for nothing: `apply` only inserts.
    ///
    /// # Errors
    /// When a loaded row is broken.
    fn read_set(
        &self,
        _event: &Event<Self::Input>,
        _rows: &WorkingSet,
        _reads: &mut ReadSet,
    ) -> Result<(), StageError> {
        Ok(())
    }

    /// Applies one fact, or one request whose versions are captured.
    ///
    /// # Errors
    /// Only when the system is broken: the partition stops.
    fn apply(
        &self,
        event: &Event<Self::Input>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Self::Output>,
    ) -> Result<(), StageError>;
}

/// A stage whose input is requests, in no order but that of their arrival. Only it has a side input, captures versions
/// and replies.
///
/// A side input and the time of arrival are not part of any stream. So a live request is made self-contained before it
/// is applied: [`capture`](IngressStage::capture) writes the versions it depends on into it, and the batch record keeps
/// them. [`Stage::apply`] must do what [`submit`](IngressStage::submit) does, without the reply: the audit applies
/// recorded requests with it.
pub trait IngressStage: Stage {
    /// The reply to one request.
    type Reply: Send + Unpin + 'static;

    /// An append-only table of another stage of the same service, kept in memory.
    const SIDE_INPUT: Option<&'static Table> = None;

    /// Writes the versions that a live request depends on into the request.
    ///
    /// # Errors
    /// When a loaded row is broken.
    fn capture(&self, _event: &mut Event<Self::Input>, _rows: &WorkingSet) -> Result<(), StageError> {
        Ok(())
    }

    /// Applies one request and replies to it.
    ///
    /// # Errors
    /// Only when the system is broken: the partition stops.
    fn submit(
        &self,
        event: &Event<Self::Input>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Self::Output>,
    ) -> Result<Self::Reply, StageError>;

    /// Takes in one row of the side input. Rows come once each, in the order of their key.
    ///
    /// # Errors
    /// When the row is broken.
    fn on_side_input(&mut self, _row: &[Cell]) -> Result<(), StageError> {
        Ok(())
    }
}

/// A broken invariant: the partition stops and says why. Never a business refusal.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A stored row that is none.
    #[error("a stored row is broken")]
    Row(#[from] BadCell),
    /// `apply` used a row that `read_set` did not name.
    #[error("the row {key:?} of {table} was used without being loaded")]
    NotLoaded {
        /// The table.
        table: &'static str,
        /// The key.
        key: Vec<Cell>,
    },
    /// A row that was to be new is there.
    #[error("the row {key:?} of {table} exists already")]
    Exists {
        /// The table.
        table: &'static str,
        /// The key.
        key: Vec<Cell>,
    },
    /// A frame that this reader does not understand.
    #[error("a frame cannot be understood")]
    Unreadable(#[from] Unreadable),
    /// A fact without a JSON form.
    #[error("a fact cannot be written")]
    Unwritable(#[from] serde_json::Error),
    /// A rule of the business that must hold does not.
    #[error("{0}")]
    Rule(String),
}

pub(crate) struct Emission<F> {
    pub cause: Cause,
    /// The place of the cause among all that was applied.
    pub place: usize,
    pub key: Key,
    pub fact: F,
}

/// What a stage says while it applies the facts of one batch.
pub struct Outputs<F> {
    partitions: PartitionCount,
    partition: Partition,
    batch: BatchNumber,
    cause: Option<Cause>,
    caused: usize,
    pub(crate) emitted: BTreeMap<StreamPartition, Vec<Emission<F>>>,
    pub(crate) count: u64,
}

impl<F: Payload> Outputs<F> {
    /// Nothing said yet by this partition in this batch.
    pub fn new(partitions: PartitionCount, partition: Partition, batch: BatchNumber) -> Self {
        Self { partitions, partition, batch, cause: None, caused: 0, emitted: BTreeMap::new(), count: 0 }
    }

    /// What is said from now on was caused by this.
    pub fn caused_by(&mut self, cause: &Cause) {
        self.cause = Some(cause.clone());
        self.caused += 1;
    }

    /// Says a fact to the partition of the key. It inherits time, request and trace of its cause.
    ///
    /// # Errors
    /// When nothing caused it, or the stream has no such facts: its readers would stop at it.
    pub fn emit(&mut self, stream: &Stream, key: Key, fact: F) -> Result<(), StageError> {
        if !stream.facts.contains(&fact.kind()) {
            return Err(StageError::Rule(format!("{} is no fact of {}", fact.kind(), stream.name)));
        }
        let target = stream.target(partition_of(&key.0, self.partitions));
        let cause = self.cause.clone().ok_or_else(|| StageError::Rule("a fact without a cause".to_owned()))?;
        self.emitted.entry(target).or_default().push(Emission { cause, place: self.caused - 1, key, fact });
        self.count += 1;
        Ok(())
    }

    /// The batch that is being applied, for rows that name the commit they were written in.
    pub fn batch(&self) -> BatchNumber {
        self.batch
    }

    /// The partition of the stage that is being applied.
    pub fn partition(&self) -> Partition {
        self.partition
    }
}
