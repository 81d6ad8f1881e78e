//! The rule for one partition of one stage: claim, admit, prepare, commit. Then others may be told.
//!
//! ```text
//! claim    insert the next batch record with the next epoch; only then load the checkpoint
//! admit    frame by frame: apply it, drop it, or stop
//! prepare  load the rows, apply the facts: nothing durable yet
//! commit   record (the fence), rows, frames: one transaction
//! resolve  after a commit of unknown fate: claim, then read back
//! ```
//!
//! There is no actor, clock or broker here: actors drive it, and so does the simulation. An owner
//! that was fenced never claims again by itself.

mod claim;
mod load;
mod missing;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use stage::{
    Admission, Broken, Cell, Change, Checkpoint, Event, Frame, Input, PartitionCount, Pinning, Place, Positions,
    Producer, Record, ResumePoint, Stage, Target,
};

use self::claim::claim;
use self::missing::Holes;
use self::stop::{stop, unavailable, unloaded};
use crate::trail::{Applied, Attempts, Trail};
use crate::{Commit, CommitError, Delivery, Store};

pub(crate) use self::load::{Tables, Unloaded, follow, load};
pub use self::missing::Missing;
pub use self::stop::Stop;

/// A batch ready to be committed.
pub struct Prepared<A> {
    commit: Option<Commit>,
    checkpoint: Checkpoint,
    answers: Vec<A>,
    facts: usize,
    since: Vec<DateTime<Utc>>,
    trail: Option<Box<Trail>>,
}

impl<A> Prepared<A> {
    fn told(self, attempts: Attempts, commit_took: Option<Duration>) -> Committed<A> {
        let Self { commit, answers, facts, since, mut trail, .. } = self;
        let (changes, frames) = commit.map(|commit| (commit.changes, commit.frames)).unwrap_or_default();
        if let Some(trail) = &mut trail {
            trail.attempts = attempts;
        }
        Committed { frames, changes, answers, facts, since, commit_took, trail }
    }

    /// The frames that will leave once it is committed.
    pub fn frames(&self) -> &[Frame] {
        self.commit.as_ref().map(|commit| commit.frames.as_slice()).unwrap_or_default()
    }
}

/// A batch that is durable.
#[derive(Debug)]
pub struct Committed<A> {
    /// What others may be told now.
    pub frames: Vec<Frame>,
    /// What was written.
    pub changes: Vec<Change>,
    /// One per request, in order.
    pub answers: Vec<A>,
    /// How many facts or requests it took.
    pub facts: usize,
    /// When the requests behind these came in: one time for each from which something followed.
    pub since: Vec<DateTime<Utc>>,
    /// How long the commit took; none when nothing was to be committed, or nobody knows.
    pub commit_took: Option<Duration>,
    /// What of it is traced.
    pub(crate) trail: Option<Box<Trail>>,
}

/// The owner of one partition of one stage.
pub struct Owner<S: Stage> {
    stage: S,
    id: Producer,
    partitions: PartitionCount,
    store: Store,
    last: Record,
    checkpoint: Checkpoint,
    /// Admitted, but not committed.
    ahead: Positions,
    resume_points: BTreeMap<Target, ResumePoint>,
    holes: Holes,
    learned: Option<Vec<Cell>>,
    /// Whose fate is unknown.
    doubtful: Option<Prepared<S::Answer>>,
    /// A claim whose fate is unknown too.
    doubtful_claim: Option<Record>,
    /// Whether traces are recorded at all.
    is_traced: bool,
    attempts: Attempts,
}

impl<S: Stage> Owner<S> {
    /// Takes over a partition: whoever owned it before cannot commit any more. It works on the connections of owners.
    ///
    /// # Errors
    /// [`Stop::Fenced`] when another one claims at the same moment; [`Stop::Broken`] when what the last owner
    /// left is damaged or was changed since; [`Stop::Unavailable`] and [`Stop::Doubtful`] when the store does not
    /// answer: then claim again.
    pub async fn claim(stage: S, id: Producer, store: Store, now: DateTime<Utc>) -> Result<Self, Stop> {
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
            holes: Holes::default(),
            learned: None,
            doubtful: None,
            doubtful_claim: None,
            is_traced: false,
            attempts: Attempts::default(),
        })
    }

    /// The same, noting what it does for requests that are traced.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { is_traced: true, ..self }
    }

    /// Forgets what was admitted and not committed.
    pub fn forget(&mut self) {
        self.ahead = self.checkpoint.positions.clone();
        self.resume_points = self.checkpoint.resume_points.clone();
    }

    /// Who it is.
    pub fn id(&self) -> &Producer {
        &self.id
    }

    /// How many partitions every stream has.
    pub fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    /// The failure to read a stream, as this owner's.
    pub fn cannot_read(&self, error: crate::StoreError) -> Stop {
        unavailable(&self.id, error)
    }

    /// Where it would go on after a crash.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The streams it reads, with all who may say something there.
    pub fn reads(id: &Producer, partitions: PartitionCount) -> Vec<(Target, Vec<Producer>)> {
        let read = |stream: &&'static stage::Stream| (stream.target(id.partition), stream.known_producers(partitions));
        S::READS.iter().map(read).collect()
    }

    /// Decides about a frame. With [`Admission::Next`] come its facts: put both into the next batch.
    ///
    /// # Errors
    /// [`Stop`] for a frame that must not be there or cannot be understood.
    pub fn admit(&mut self, delivery: Delivery) -> Result<(Admission, Option<Admitted<S>>), Stop> {
        let Delivery { frame, resume_point } = delivery;
        let streams = Self::reads(&self.id, self.partitions);
        let known = streams.iter().find(|(target, _)| *target == frame.target);
        let known = known.map(|(_, producers)| producers.as_slice()).unwrap_or_default();
        let admission = stage::admit(&self.ahead, known, &frame);
        let (target, place) = (frame.target.clone(), resume_point.as_ref());
        let admitted = match admission {
            Admission::Next => {
                let events = stage::read_events::<S::Fact>(&frame.body).map_err(|error| self.broken(error.into()))?;
                self.ahead.advance(&frame);
                self.holes.closed(&frame, place);
                Some((frame, events))
            }
            Admission::Duplicate => {
                self.holes.intact(&frame, place);
                None
            }
            Admission::Gap { .. } => {
                self.holes.intact(&frame, place);
                self.holes.gap(&frame);
                None
            }
            Admission::Damaged => {
                let expected = self.ahead.of(&target, &frame.producer).next;
                self.holes.damaged(&frame, place, known.contains(&frame.producer) && frame.seq >= expected);
                None
            }
            Admission::Fork => return Err(self.stop_at(&frame, "its producer said something else there before")),
            Admission::UnknownProducer => {
                return Err(self.stop_at(&frame, "unknown producer: upgrade this reader before its producers"));
            }
        };
        if let Some(point) = resume_point
            && !self.holes.are_in(&target)
        {
            self.resume_points.insert(target, point);
        }
        Ok((admission, admitted))
    }

    /// The frames without which nothing more of their producers is applied: they did not come, or damaged.
    pub fn missing(&self) -> BTreeSet<Missing> {
        self.holes.missing(&self.ahead)
    }

    /// Loads what the batch needs and applies it. Nothing is durable yet.
    ///
    /// # Errors
    /// [`Stop::Unavailable`] when rows cannot be loaded now, [`Stop::Broken`] for good.
    pub async fn prepare(&mut self, input: Input<S::Fact>, now: DateTime<Utc>) -> Result<Prepared<S::Answer>, Stop> {
        let learned = follow(&mut self.stage, &self.store, &mut self.learned).await;
        learned.map_err(|error| unloaded(&self.id, error))?;
        let rows = load(&self.stage, &self.store, &input).await.map_err(|error| unloaded(&self.id, error))?;
        let facts = input.events().count();
        let traced = if self.is_traced { Applied::all(&self.id, &input) } else { Vec::new() };
        let number = self.last.number.next();
        let place = Place { owner: &self.id, number, partitions: self.partitions, before: &self.checkpoint };
        let derived = stage::derive(&self.stage, &place, input, rows, Pinning::Live);
        let mut derived = derived.map_err(|source| self.broken(source))?;
        derived.checkpoint.resume_points.clone_from(&self.resume_points);
        let commit = if derived.has_effect {
            let record = Record::following(Some(&self.last), &self.id, &derived.read, &derived.checkpoint, now);
            let record = record.map_err(|error| self.broken(error.into()))?;
            Some(Commit { record, changes: derived.changes, frames: derived.frames })
        } else {
            None
        };
        let trail = commit.as_ref();
        let trail = trail.and_then(|commit| Trail::of(traced, commit, &derived.origins, &derived.idle, facts, now));
        Ok(Prepared {
            commit,
            checkpoint: derived.checkpoint,
            answers: derived.answers,
            facts,
            since: derived.since,
            trail: trail.map(Box::new),
        })
    }

    /// Makes a batch durable. Only then may anything of it be told.
    ///
    /// # Errors
    /// [`Stop`] says what is known about it. After [`Stop::Doubtful`] only [`Owner::resolve`] helps.
    pub async fn commit(&mut self, prepared: Prepared<S::Answer>) -> Result<Committed<S::Answer>, Stop> {
        let Some(commit) = &prepared.commit else {
            return Ok(prepared.told(Attempts::default(), None));
        };
        match self.store.commit(commit).await {
            Ok(took) => {
                self.last = commit.record.clone();
                self.checkpoint = prepared.checkpoint.clone();
                Ok(prepared.told(std::mem::take(&mut self.attempts), Some(took)))
            }
            Err(error) => {
                self.forget();
                if let Some(trail) = &prepared.trail {
                    self.attempts.note(trail.began, || telemetry::chain(&error));
                }
                if let CommitError::Doubtful(_) = error {
                    self.doubtful = Some(prepared);
                }
                Err(stop(&self.id, error))
            }
        }
    }

    /// After a commit of unknown fate: claims, so that the old transaction can no longer land, and only
    /// then reads back whether it did. `None`: it did not, and never will.
    ///
    /// # Errors
    /// [`Stop::Fenced`] when another owner has claimed meanwhile; a passing one when it is still unknown.
    pub async fn resolve(&mut self, now: DateTime<Utc>) -> Result<Option<Committed<S::Answer>>, Stop> {
        let Some(doubtful) = &self.doubtful else {
            return Ok(None);
        };
        let claimed = claim(&self.id, &self.store, Some(&self.last), &mut self.doubtful_claim, now).await;
        // Kept before anything else can fail: the next try must know this claim as its own.
        (self.last, self.checkpoint) = claimed?;
        let written = match &doubtful.commit {
            None => false,
            Some(commit) => {
                let there = self.store.records(&self.id, commit.record.number, 1).await;
                let there = there.map_err(|error| unavailable(&self.id, error))?;
                there.first().is_some_and(|record| record.hash == commit.record.hash)
            }
        };
        self.forget();
        let written = self.doubtful.take().filter(|_| written);
        Ok(written.map(|written| written.told(std::mem::take(&mut self.attempts), None)))
    }

    /// Whether a commit of unknown fate waits for [`Owner::resolve`].
    pub fn is_in_doubt(&self) -> bool {
        self.doubtful.is_some()
    }

    /// Admits, prepares and commits what was delivered. `None` when there was nothing to apply.
    ///
    /// # Errors
    /// [`Stop`]. Nothing of the batch is told then.
    pub async fn take_frames(
        &mut self,
        deliveries: Vec<Delivery>,
        now: DateTime<Utc>,
        mut seen: impl FnMut(Admission),
    ) -> Result<Option<Committed<S::Answer>>, Stop> {
        let mut admitted = Vec::new();
        for delivery in deliveries {
            let (admission, next) = self.admit(delivery)?;
            seen(admission);
            admitted.extend(next);
        }
        if admitted.is_empty() {
            return Ok(None);
        }
        let prepared = self.prepare(Input::Frames(admitted), now).await?;
        self.commit(prepared).await.map(Some)
    }

    fn broken(&self, source: Broken) -> Stop {
        Stop::Broken { owner: self.id.clone(), source }
    }

    fn stop_at(&self, frame: &Frame, why: &'static str) -> Stop {
        let (producer, target, seq) = (frame.producer.clone(), frame.target.clone(), frame.seq);
        Stop::Frame { owner: self.id.clone(), producer, target, seq, why }
    }
}

/// A frame to apply, with its facts.
pub(crate) type Admitted<S> = (Frame, Vec<Event<<S as Stage>::Fact>>);
