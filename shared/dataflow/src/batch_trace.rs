//! The traced part of a batch: enough to build its spans once the batch is durable.
//!
//! It holds sampled requests and nothing else, so that a batch without any costs a check of one byte per fact.

use chrono::{DateTime, Utc};
use stage::{BatchNumber, Cause, Event, EventId, Frame, Hash, Origin, Payload, Producer, StreamPartition};
use telemetry::{SpanContext, context};

use crate::Commit;

/// The maximum number of failed commits that are kept for the trace of the next successful one. More failures are rare.
const ATTEMPTS_MAX: usize = 8;

/// A batch with its traced facts.
#[derive(Clone, Debug)]
pub struct BatchTrace {
    /// The owner that applied it.
    pub owner: Producer,
    /// Its number.
    pub number: BatchNumber,
    /// The hash of its record.
    pub hash: Hash,
    /// The time when its facts were available.
    pub began: DateTime<Utc>,
    /// The number of facts or requests it read, traced or not.
    pub facts: usize,
    /// The number of frames it emitted.
    pub frames: usize,
    /// The total size of their bodies in bytes.
    pub bytes: usize,
    /// The traced inputs, in order.
    pub(crate) applied: Vec<TracedInput>,
    /// The traced outputs.
    pub(crate) emitted: Vec<TracedOutput>,
    /// The failed attempts to commit before.
    pub(crate) attempts: Attempts,
}

/// A fact or request that was applied.
#[derive(Clone, Debug)]
pub(crate) struct TracedInput {
    /// Its index in the batch.
    place: usize,
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub kind: &'static str,
    /// The context of the original request.
    pub cause: Cause,
    /// The stream it arrived on; `None` for a request.
    pub from: Option<StreamPartition>,
    /// The span that led to it.
    pub parent: SpanContext,
    /// The span in which it was applied.
    pub span: SpanContext,
}

/// A fact that was emitted.
#[derive(Clone, Debug)]
pub(crate) struct TracedOutput {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub kind: &'static str,
    /// The stream partition it was emitted to.
    pub to: StreamPartition,
    /// The index of its cause in `applied`.
    pub by: usize,
    /// The span that the fact carries as its step.
    pub span: SpanContext,
}

/// The failed commits of an owner since its last successful one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    /// The start of each attempt and the reason why it failed.
    pub kept: Vec<(DateTime<Utc>, String)>,
    /// The number of further attempts that were not kept.
    pub dropped: u32,
}

impl Attempts {
    /// Adds a failed attempt.
    pub fn note(&mut self, began: DateTime<Utc>, why: impl FnOnce() -> String) {
        if self.kept.len() < ATTEMPTS_MAX {
            self.kept.push((began, why()));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

impl TracedInput {
    /// The traced events of admitted frames.
    pub fn of_frames<F: Payload>(owner: &Producer, frames: &[(Frame, Vec<Event<F>>)]) -> Vec<Self> {
        let events = frames.iter().flat_map(|(frame, events)| events.iter().map(|event| (Some(&frame.target), event)));
        Self::all(owner, events)
    }

    /// The traced requests.
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

    /// `None` when the event has no valid trace context.
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
    /// Traces a batch of `facts` facts that were available when it `began`; `None` when nothing in it is traced.
    pub(crate) fn of(
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

/// The facts in these frames that were caused by traced inputs.
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
