//! The traits of stages, and the outputs a stage may emit.

use std::collections::BTreeMap;

use crate::{
    BadCell, BatchNumber, Cause, Cell, Event, Key, Partition, PartitionCount, Partitioning, Payload, Producer, ReadSet,
    Stream, StreamPartition, Table, Unreadable, WorkingSet, partition_of,
};

/// The maximum number of [`Stage::read_set`] calls per batch, since a row may name a row that names a row. A stage that
/// requests more rows even then is broken.
pub const LOAD_ROUNDS_MAX: usize = 6;

/// A pure function from facts to changed rows and new facts.
///
/// Synchronous and total: no clock, no randomness, no I/O, no logging. Time, ids, rates and terms
/// arrive as data. A refusal is an output, not an error.
pub trait Stage: Send + Unpin + 'static {
    /// The facts it reads; for an ingress stage, the requests it accepts.
    type Input: Payload;
    /// The facts it emits.
    type Output: Payload;

    /// Its name, part of every producer's name.
    const NAME: &'static str;
    /// How its partitions follow from the partitions of the streams it reads.
    const PARTITIONING: Partitioning;
    /// The streams it reads; none for an ingress stage.
    const READS: &'static [&'static Stream] = &[];
    /// The tables that it, and only it, writes.
    const TABLES: &'static [&'static Table];

    /// Adds the rows that `apply` needs to the read set.
    ///
    /// It is called again after each load until it requests no new row, at most [`LOAD_ROUNDS_MAX`] times, so that one
    /// row can name the next. The default requests nothing, which suffices if `apply` only inserts.
    ///
    /// # Errors
    /// When a loaded row is invalid.
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

/// A stage whose input is requests, ordered only by arrival. Only an ingress stage has a side input, captures versions
/// and replies.
///
/// A side input and the time of arrival are not part of any stream. A live request is therefore made self-contained
/// before it is applied: [`capture`](IngressStage::capture) writes the versions it depends on into it, and the batch
/// record keeps them. [`Stage::apply`] must do what [`submit`](IngressStage::submit) does, without the reply, because
/// the audit applies recorded requests with it.
pub trait IngressStage: Stage {
    /// The reply to one request.
    type Reply: Send + Unpin + 'static;

    /// An append-only table of another stage of the same service, kept in memory.
    const SIDE_INPUT: Option<&'static Table> = None;

    /// Writes the versions that a live request depends on into the request.
    ///
    /// # Errors
    /// When a loaded row is invalid.
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

    /// Receives one row of the side input. Each row arrives once, in key order.
    ///
    /// # Errors
    /// When the row is invalid.
    fn on_side_input(&mut self, _row: &[Cell]) -> Result<(), StageError> {
        Ok(())
    }
}

/// A broken invariant: the partition stops and reports the reason. Never a business refusal.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A stored row that cannot be decoded.
    #[error("a stored row is invalid")]
    Row(#[from] BadCell),
    /// `apply` used a row that `read_set` did not name.
    #[error("the row {key:?} of {table} was used without being loaded")]
    NotLoaded {
        /// The table.
        table: &'static str,
        /// The key.
        key: Vec<Cell>,
    },
    /// An inserted row already exists.
    #[error("the row {key:?} of {table} already exists")]
    Exists {
        /// The table.
        table: &'static str,
        /// The key.
        key: Vec<Cell>,
    },
    /// A frame that this reader cannot decode.
    #[error("unreadable frame")]
    Unreadable(#[from] Unreadable),
    /// A fact without a JSON form.
    #[error("a fact has no JSON form")]
    Unwritable(#[from] serde_json::Error),
    /// A business rule that must always hold was violated.
    #[error("{0}")]
    Rule(String),
}

pub(crate) struct Emission<F> {
    pub cause: Cause,
    /// The index of the cause among all events applied so far in the batch.
    pub place: usize,
    pub key: Key,
    pub fact: F,
}

/// The facts that a stage emits while it applies one batch.
pub struct Outputs<F> {
    partitions: PartitionCount,
    owner: Producer,
    batch: BatchNumber,
    cause: Option<Cause>,
    caused: usize,
    pub(crate) emitted: BTreeMap<StreamPartition, Vec<Emission<F>>>,
    pub(crate) count: u64,
}

impl<F: Payload> Outputs<F> {
    /// The outputs of a new batch, still empty.
    pub fn new(partitions: PartitionCount, owner: Producer, batch: BatchNumber) -> Self {
        Self { partitions, owner, batch, cause: None, caused: 0, emitted: BTreeMap::new(), count: 0 }
    }

    /// Sets the cause of all facts emitted from now on.
    pub fn caused_by(&mut self, cause: &Cause) {
        self.cause = Some(cause.clone());
        self.caused += 1;
    }

    /// Emits a fact to the partition of the key. The fact inherits the time, request and trace of its cause.
    ///
    /// # Errors
    /// When no cause is set, or when the stream does not declare facts of this kind, or this producer of the key's
    /// partition: its readers would stop at it.
    pub fn emit(&mut self, stream: &Stream, key: Key, fact: F) -> Result<(), StageError> {
        if !stream.facts.contains(&fact.kind()) {
            return Err(StageError::Rule(format!("{} is not a fact of stream {}", fact.kind(), stream.name)));
        }
        let partition = partition_of(&key.0, self.partitions);
        if !stream.is_emitted_by(&self.owner, partition) {
            return Err(StageError::Rule(format!(
                "{} is not a producer of {}/{}",
                self.owner, stream.name, partition.0
            )));
        }
        let target = stream.target(partition);
        let cause = self.cause.clone().ok_or_else(|| StageError::Rule("a fact without a cause".to_owned()))?;
        self.emitted.entry(target).or_default().push(Emission { cause, place: self.caused - 1, key, fact });
        self.count += 1;
        Ok(())
    }

    /// The partition of a key.
    pub fn partition_of(&self, key: &Key) -> Partition {
        partition_of(&key.0, self.partitions)
    }

    /// The number of the current batch, for rows that record which commit wrote them.
    pub fn batch(&self) -> BatchNumber {
        self.batch
    }

    /// The partition of the stage that processes the batch.
    pub fn partition(&self) -> Partition {
        self.owner.partition
    }
}
