//! The owner of one partition of one stage: it claims, admits, prepares and commits. Only then is the result published.
//!
//! ```text
//! claim    insert the next batch record with the next epoch; only then load the checkpoint
//! admit    frame by frame: apply it, drop it, or stop
//! prepare  load the rows, apply the facts: nothing durable yet
//! commit   record (the fence), rows, frames: one transaction
//! resolve  after a commit with an unknown result: claim, then read the record back
//! ```
//!
//! There is no actor, clock or broker here; the actors and the simulation drive it. An owner that was fenced never
//! claims again by itself.

mod claim;
mod error;
mod load;
mod missing;
mod prepared;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use stage::{
    Admission, BatchContext, BatchInput, BatchNumber, Cell, Checkpoint, Derived, Event, Frame, IngressStage,
    PartitionCount, Positions, Producer, Record, ResumePoint, Stage, StageError, StreamPartition,
};

use self::claim::claim;
use self::error::{load_failed, stop, unavailable};
use self::missing::Gaps;
use crate::batch_trace::{Attempts, BatchTrace, TracedInput};
use crate::{Commit, CommitError, Delivery, Store};

pub use self::error::OwnerError;
pub(crate) use self::load::{LoadError, Tables, load, read_side_input};
pub use self::missing::MissingFrame;
pub use self::prepared::{Committed, Prepared};

/// The owner of one partition of one stage.
pub struct Owner<S: Stage> {
    stage: S,
    id: Producer,
    partitions: PartitionCount,
    store: Store,
    last: Record,
    checkpoint: Checkpoint,
    /// The read positions including frames that are admitted but not committed yet.
    ahead: Positions,
    resume_points: BTreeMap<StreamPartition, ResumePoint>,
    gaps: Gaps,
    side_input: Option<Vec<Cell>>,
    /// A batch whose commit has an unknown result.
    in_doubt: Option<Prepared>,
    /// A claim whose commit has an unknown result.
    in_doubt_claim: Option<Record>,
    /// Whether traces are recorded at all.
    is_traced: bool,
    attempts: Attempts,
}

impl<S: Stage> Owner<S> {
    /// Takes over a partition: its previous owner can no longer commit. The owner uses the connections reserved for
    /// owners.
    ///
    /// # Errors
    /// [`OwnerError::Fenced`] when another owner claims at the same moment; [`OwnerError::Stage`] when the data of
    /// the previous owner is damaged or was changed since; [`OwnerError::Unavailable`] and [`OwnerError::InDoubt`] when
    /// the store does not answer: claim again then.
    pub async fn claim(stage: S, id: Producer, store: Store, now: DateTime<Utc>) -> Result<Self, OwnerError> {
        let store = store.for_owners();
        let (last, checkpoint) = claim(&id, &store, None, &mut None, now).await?;
        Ok(Self {
            stage,
            id,
            partitions: store.meta().partitions,
            store,
            last,
            ahead: checkpoint.positions.clone(),
            resume_points: checkpoint.resume_points.clone(),
            checkpoint,
            gaps: Gaps::default(),
            side_input: None,
            in_doubt: None,
            in_doubt_claim: None,
            is_traced: false,
            attempts: Attempts::default(),
        })
    }

    /// The same owner, which also records what it does for traced requests.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { is_traced: true, ..self }
    }

    /// Discards frames that were admitted but not committed.
    pub fn discard_uncommitted(&mut self) {
        self.ahead = self.checkpoint.positions.clone();
        self.resume_points = self.checkpoint.resume_points.clone();
    }

    /// The partition of the stage it owns.
    pub fn id(&self) -> &Producer {
        &self.id
    }

    /// The number of partitions of every stream.
    pub fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    /// Converts a failure to read a stream into an error of this owner.
    pub fn read_failed(&self, error: crate::StoreError) -> OwnerError {
        unavailable(&self.id, error)
    }

    /// The checkpoint from which it would continue after a crash.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The stream partitions it reads, each with all its known producers.
    pub fn reads(id: &Producer, partitions: PartitionCount) -> Vec<(StreamPartition, Vec<Producer>)> {
        reads(S::READS, id, partitions)
    }

    /// Call this when a stream is read again from its first message: a message that then arrives damaged is damaged in
    /// the stream, and not only on its way.
    pub fn reads_again(&mut self, target: &StreamPartition) {
        self.gaps.read_again(target);
    }

    /// Decides about a frame. [`Admission::Next`] comes with its facts: put both into the next batch.
    ///
    /// # Errors
    /// [`OwnerError`] for a frame that must not occur or cannot be decoded.
    pub fn admit(&mut self, delivery: Delivery) -> Result<(Admission, Option<Admitted<S>>), OwnerError> {
        let Delivery { frame, resume_point } = delivery;
        let streams = Self::reads(&self.id, self.partitions);
        let known = streams.iter().find(|(target, _)| *target == frame.target);
        let known = known.map(|(_, producers)| producers.as_slice()).unwrap_or_default();
        let admission = stage::admit(&self.ahead, known, &frame);
        let (target, place) = (frame.target.clone(), resume_point.as_ref());
        let admitted = match admission {
            Admission::Next => {
                let events = stage::read_events::<S::Input>(&frame.body).map_err(|error| self.broken(error.into()))?;
                self.ahead.advance(&frame);
                self.gaps.closed(&frame, place);
                Some((frame, events))
            }
            Admission::Duplicate => {
                self.gaps.intact(&frame, place);
                None
            }
            Admission::Gap { .. } => {
                self.gaps.intact(&frame, place);
                self.gaps.gap(&frame);
                None
            }
            Admission::Damaged => {
                let expected = self.ahead.of(&target, &frame.producer).next;
                self.gaps.damaged(&frame, place, known.contains(&frame.producer) && frame.seq >= expected);
                None
            }
            Admission::Fork => return Err(self.stop_at(&frame, "its producer published other content there before")),
            Admission::UnknownProducer => {
                return Err(self.stop_at(&frame, "unknown producer: upgrade this reader before its producers"));
            }
        };
        if let Some(point) = resume_point
            && !self.gaps.are_in(&target)
        {
            self.resume_points.insert(target, point);
        }
        Ok((admission, admitted))
    }

    /// The frames that never arrived or arrived damaged. No later frame of their producers is applied without them.
    pub fn missing(&self) -> BTreeSet<MissingFrame> {
        self.gaps.missing(&self.ahead)
    }

    /// Loads the rows that admitted frames need and applies them. Nothing is durable yet.
    ///
    /// # Errors
    /// [`OwnerError::Unavailable`] when rows cannot be loaded for now; [`OwnerError::Stage`] when a retry cannot
    /// help.
    pub async fn prepare_frames(
        &mut self,
        admitted: Vec<Admitted<S>>,
        now: DateTime<Utc>,
    ) -> Result<Prepared, OwnerError> {
        let traced = if self.is_traced { TracedInput::of_frames(&self.id, &admitted) } else { Vec::new() };
        let input = BatchInput::Frames(admitted);
        let rows = load(&self.stage, &self.store, &input.events()).await;
        let rows = rows.map_err(|error| load_failed(&self.id, error))?;
        let facts = input.events().count();
        let derived = stage::derive(&self.stage, &self.context(), input, rows);
        self.prepared(derived.map_err(|source| self.broken(source))?, facts, traced, now)
    }

    fn context(&self) -> BatchContext<'_> {
        let number = self.last.number.next();
        BatchContext { owner: &self.id, number, partitions: self.partitions, before: &self.checkpoint }
    }

    fn prepared(
        &self,
        mut derived: Derived,
        facts: usize,
        traced: Vec<TracedInput>,
        now: DateTime<Utc>,
    ) -> Result<Prepared, OwnerError> {
        derived.checkpoint.resume_points.clone_from(&self.resume_points);
        let Derived { consumed, checkpoint, frames, changes, origins, without_effect, has_effect, arrived_at } =
            derived;
        let commit = if has_effect {
            let record = Record::following(Some(&self.last), &self.id, &consumed, &checkpoint, now);
            Some(Commit { record: record.map_err(|error| self.broken(error.into()))?, changes, frames })
        } else {
            None
        };
        let batch_trace = commit.as_ref();
        let batch_trace =
            batch_trace.and_then(|commit| BatchTrace::of(traced, commit, &origins, &without_effect, facts, now));
        Ok(Prepared { commit, checkpoint, facts, arrived_at, batch_trace: batch_trace.map(Box::new) })
    }

    /// Makes a batch durable. Only then may anything of it be published.
    ///
    /// # Errors
    /// [`OwnerError`]: what is known about the batch. After [`OwnerError::InDoubt`], call [`Owner::resolve`].
    pub async fn commit(&mut self, prepared: Prepared) -> Result<Committed, OwnerError> {
        let Some(commit) = &prepared.commit else {
            return Ok(prepared.into_committed(Attempts::default(), None));
        };
        match self.store.commit(commit).await {
            Ok(took) => {
                self.last = commit.record.clone();
                self.checkpoint = prepared.checkpoint.clone();
                Ok(prepared.into_committed(std::mem::take(&mut self.attempts), Some(took)))
            }
            Err(error) => {
                self.discard_uncommitted();
                if let Some(batch_trace) = &prepared.batch_trace {
                    self.attempts.note(batch_trace.began, || telemetry::error_chain(&error));
                }
                if let CommitError::InDoubt(_) = error {
                    self.in_doubt = Some(prepared);
                }
                Err(stop(&self.id, error))
            }
        }
    }

    /// Resolves a commit with an unknown result. It claims first, so that the old transaction can no longer land, and
    /// only then reads back whether it did. `None`: it did not, and never will.
    ///
    /// # Errors
    /// [`OwnerError::Fenced`] when another owner has claimed meanwhile; a transient error when the result is still
    /// unknown.
    pub async fn resolve(&mut self, now: DateTime<Utc>) -> Result<Option<Committed>, OwnerError> {
        let Some(in_doubt) = &self.in_doubt else {
            return Ok(None);
        };
        let claimed = claim(&self.id, &self.store, Some(&self.last), &mut self.in_doubt_claim, now).await;
        // Stored before anything else can fail: the next attempt must recognize this claim as its own.
        (self.last, self.checkpoint) = claimed?;
        let written = match &in_doubt.commit {
            None => false,
            Some(commit) => {
                let there = self.store.records(&self.id, commit.record.number, 1).await;
                let there = there.map_err(|error| unavailable(&self.id, error))?;
                there.first().is_some_and(|record| record.hash == commit.record.hash)
            }
        };
        self.discard_uncommitted();
        let written = self.in_doubt.take().filter(|_| written);
        Ok(written.map(|written| written.into_committed(std::mem::take(&mut self.attempts), None)))
    }

    /// The number and the commit time of its newest batch record.
    pub fn last_batch(&self) -> (BatchNumber, DateTime<Utc>) {
        (self.last.number, self.last.committed_at.parse().unwrap_or_default())
    }

    /// Whether a commit with an unknown result waits for [`Owner::resolve`].
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt.is_some()
    }

    /// Admits, prepares and commits the delivered frames. `None` when there was nothing to apply.
    ///
    /// # Errors
    /// [`OwnerError`]. Nothing of the batch may be published then.
    pub async fn process(
        &mut self,
        deliveries: Vec<Delivery>,
        now: DateTime<Utc>,
        mut seen: impl FnMut(Admission),
    ) -> Result<Option<Committed>, OwnerError> {
        let mut admitted = Vec::new();
        for delivery in deliveries {
            let (admission, next) = self.admit(delivery)?;
            seen(admission);
            admitted.extend(next);
        }
        if admitted.is_empty() {
            return Ok(None);
        }
        let prepared = self.prepare_frames(admitted, now).await?;
        self.commit(prepared).await.map(Some)
    }

    fn broken(&self, source: StageError) -> OwnerError {
        OwnerError::Stage { owner: self.id.clone(), source }
    }

    fn stop_at(&self, frame: &Frame, why: &'static str) -> OwnerError {
        let (producer, target, seq) = (frame.producer.clone(), frame.target.clone(), frame.seq);
        OwnerError::Frame { owner: self.id.clone(), producer, target, seq, why }
    }
}

impl<S: IngressStage> Owner<S> {
    /// Reads new rows of the side input, loads the rows that live requests need, and submits the requests. Returns one
    /// reply for each, in order, to be sent once the batch is committed. Nothing is durable yet.
    ///
    /// # Errors
    /// As for [`Owner::prepare_frames`].
    pub async fn prepare_requests(
        &mut self,
        requests: Vec<Event<S::Input>>,
        now: DateTime<Utc>,
    ) -> Result<(Prepared, Vec<S::Reply>), OwnerError> {
        let read = read_side_input(&mut self.stage, &self.store, &mut self.side_input).await;
        read.map_err(|error| load_failed(&self.id, error))?;
        let rows = load(&self.stage, &self.store, &requests.iter()).await;
        let rows = rows.map_err(|error| load_failed(&self.id, error))?;
        let traced = if self.is_traced { TracedInput::of_requests(&self.id, &requests) } else { Vec::new() };
        let facts = requests.len();
        let derived = stage::derive_requests(&self.stage, &self.context(), requests, rows);
        let (derived, replies) = derived.map_err(|source| self.broken(source))?;
        Ok((self.prepared(derived, facts, traced, now)?, replies))
    }
}

/// What a partition reads: each target, and the producers that may emit to it.
pub(crate) fn reads(
    streams: &[&'static stage::Stream],
    id: &Producer,
    partitions: PartitionCount,
) -> Vec<(StreamPartition, Vec<Producer>)> {
    let read = |stream: &&'static stage::Stream| {
        (stream.target(id.partition), stream.known_producers(id.partition, partitions))
    };
    streams.iter().map(read).collect()
}

/// A frame to apply, with its facts.
pub(crate) type Admitted<S> = (Frame, Vec<Event<<S as Stage>::Input>>);
