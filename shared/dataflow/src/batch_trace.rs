//! What a batch did for requests whose traces are recorded: enough to show it once it is durable.
//!
//! It holds what is sampled and nothing else, so that a batch without any costs one look at a byte of each fact.

use chrono::{DateTime, Utc};
use stage::{BatchNumber, Cause, Event, EventId, Frame, Hash, Origin, Payload, Producer, StreamPartition};
use telemetry::{SpanContext, context};

use crate::Commit;

/// Commits that failed and are kept, so that the one that succeeds can tell of them. Few fail more often.
const ATTEMPTS_MAX: usize = 8;

/// A batch, and what of it is traced.
#[derive(Clone, Debug)]
pub(crate) struct BatchTrace {
    /// Whose batch.
    pub owner: Producer,
    /// Its number.
    pub number: BatchNumber,
    /// Its record's hash.
    pub hash: Hash,
    /// When its facts were at hand.
    pub began: DateTime<Utc>,
    /// All facts or requests it read, traced or not.
    pub facts: usize,
    /// All frames it says.
    pub frames: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// What it applied, in order.
    pub applied: Vec<TracedInput>,
    /// What it said.
    pub emitted: Vec<TracedOutput>,
    /// What went wrong before.
    pub attempts: Attempts,
}

/// A fact or request that was applied.
#[derive(Clone, Debug)]
pub(crate) struct TracedInput {
    /// Its place in the batch.
    place: usize,
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub kind: &'static str,
    /// What began it all.
    pub cause: Cause,
    /// The stream it came by; none: it is a request.
    pub from: Option<StreamPartition>,
    /// What led here.
    pub parent: SpanContext,
    /// Applying it.
    pub span: SpanContext,
}

/// A fact that was said.
#[derive(Clone, Debug)]
pub(crate) struct TracedOutput {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub kind: &'static str,
    /// To whom.
    pub to: StreamPartition,
    /// Which of those that were applied caused it.
    pub by: usize,
    /// What it names as its step.
    pub span: SpanContext,
}

/// Commits of an owner that failed since the last that did not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    /// When each began, and why it failed.
    pub kept: Vec<(DateTime<Utc>, String)>,
    /// How many more there were.
    pub dropped: u32,
}

impl Attempts {
    /// One more.
    pub fn note(&mut self, began: DateTime<Utc>, why: impl FnOnce() -> String) {
        if self.kept.len() < ATTEMPTS_MAX {
            self.kept.push((began, why()));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

impl TracedInput {
    /// The traced ones among the events of admitted frames.
    pub fn of_frames<F: Payload>(owner: &Producer, frames: &[(Frame, Vec<Event<F>>)]) -> Vec<Self> {
        let events = frames.iter().flat_map(|(frame, events)| events.iter().map(|event| (Some(&frame.target), event)));
        Self::all(owner, events)
    }

    /// The traced ones among requests.
    pub fn of_requests<F: Payload>(owner: &Producer, requests: &[Event<F>]) -> Vec<Self> {
        Self::all(owner, requests.iter().map(|request| (None, request)))
    }

    fn all<'a, F: Payload>(
        owner: &Producer,
        events: impl Iterator<Item = (Option<&'a StreamPartition>, &'a Event<F>)>,
    ) -> Vec<Self> {
        let traced = events.enumerate().filter(|(_, (_, event))| event.cause.traceparent.is_sampled());
        traced.filter_map(|(place, (from, event))| Self::of(owner, place, event, from)).collect()
    }

    /// None when it names no step that can be shown.
    fn of<F: Payload>(
        owner: &Producer,
        place: usize,
        event: &Event<F>,
        from: Option<&StreamPartition>,
    ) -> Option<Self> {
        let Event { id, cause, fact, .. } = event;
        let parent = context(&cause.traceparent.0, from.is_some())?;
        let span = context(&cause.traceparent.applied(owner, id).0, false)?;
        Some(Self { place, id: id.clone(), kind: fact.kind(), cause: cause.clone(), from: from.cloned(), parent, span })
    }
}

impl BatchTrace {
    /// Of a batch that read so many facts, which were at hand when it began; none when nothing of it is traced.
    pub fn of(
        mut applied: Vec<TracedInput>,
        commit: &Commit,
        origins: &[Origin],
        without_effect: &[usize],
        facts: usize,
        began: DateTime<Utc>,
    ) -> Option<Self> {
        applied.retain(|applied| without_effect.binary_search(&applied.place).is_err());
        if applied.is_empty() {
            return None;
        }
        let record = &commit.record;
        Some(Self {
            owner: record.owner.clone(),
            number: record.number,
            hash: record.hash,
            began,
            facts,
            frames: commit.frames.len(),
            bytes: commit.frames.iter().map(|frame| frame.body.len()).sum(),
            emitted: emitted(&applied, &commit.frames, origins),
            applied,
            attempts: Attempts::default(),
        })
    }
}

/// The facts in these frames that were caused by what is traced.
fn emitted(applied: &[TracedInput], frames: &[Frame], origins: &[Origin]) -> Vec<TracedOutput> {
    let progress = frames.iter().flat_map(|frame| (0..frame.facts).map(move |index| (frame, index)));
    let of = |((frame, index), origin): ((&Frame, usize), &Origin)| {
        let by = applied.binary_search_by_key(&origin.cause, |applied| applied.place).ok()?;
        let id = EventId::of(&frame.producer, &frame.target, frame.seq, index);
        let span = context(&applied[by].cause.traceparent.step(&id).0, false)?;
        Some(TracedOutput { id, kind: origin.kind, to: frame.target.clone(), by, span })
    };
    progress.zip(origins).filter_map(of).collect()
}
