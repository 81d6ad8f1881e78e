//! One batch: facts go in; changed rows, frames and the next checkpoint come out.

use chrono::{DateTime, Utc};

use crate::frame::{batch_of, write_event, write_parts};
use crate::stage_trait::Emission;
use crate::{
    BatchNumber, Change, Checkpoint, Consumed, Event, EventId, FRAME_BYTES_MAX, FRAME_FACTS_MAX, Frame, FrameRange,
    Hash, IngressStage, LastFrame, Outputs, PartitionCount, Payload, Producer, Seq, Stage, StageError, StreamPartition,
    WorkingSet,
};

/// The input of a batch: either frames or requests.
pub enum BatchInput<F> {
    /// Admitted frames with their facts, in order.
    Frames(Vec<(Frame, Vec<Event<F>>)>),
    /// The requests of an ingress stage, in order.
    Requests(Vec<Event<F>>),
}

impl<F> BatchInput<F> {
    /// All events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event<F>> + Clone {
        let (frames, requests) = match self {
            BatchInput::Frames(frames) => (frames.as_slice(), [].as_slice()),
            BatchInput::Requests(requests) => ([].as_slice(), requests.as_slice()),
        };
        frames.iter().flat_map(|(_, events)| events).chain(requests)
    }
}

/// The result of a batch. Nothing of it is durable yet.
pub struct Derived {
    /// The consumed input, for the batch record. It leaves out requests that had no effect.
    pub consumed: Consumed,
    /// The checkpoint after the batch.
    pub checkpoint: Checkpoint,
    /// The frames to publish once the batch is committed.
    pub frames: Vec<Frame>,
    /// The rows to write.
    pub changes: Vec<Change>,
    /// The origin of each emitted fact, in the order of the frames.
    pub origins: Vec<Origin>,
    /// The indexes of the requests that had no effect.
    pub without_effect: Vec<usize>,
    /// Whether there is anything to commit.
    pub has_effect: bool,
    /// The arrival times of the original requests, one for each event that had an effect.
    pub arrived_at: Vec<DateTime<Utc>>,
}

/// The origin of an emitted fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The index of its cause among the batch's events.
    pub cause: usize,
    /// Its type.
    pub kind: &'static str,
}

/// The context in which a batch is derived.
pub struct BatchContext<'a> {
    /// The partition of the stage.
    pub owner: &'a Producer,
    /// The number its record will have.
    pub number: BatchNumber,
    /// The number of partitions of every stream.
    pub partitions: PartitionCount,
    /// The checkpoint of the previous batch.
    pub before: &'a Checkpoint,
}

/// Applies the facts of one batch to the rows loaded for it. Requests must be recorded ones, with captured versions.
///
/// # Errors
/// [`StageError`] when an invariant does not hold. Nothing of the batch may be committed then.
pub fn derive<S: Stage>(
    stage: &S,
    context: &BatchContext<'_>,
    input: BatchInput<S::Input>,
    rows: WorkingSet,
) -> Result<Derived, StageError> {
    let mut batch = Batch::new(context, rows);
    let consumed = match input {
        BatchInput::Frames(frames) => batch.frames(stage, &frames)?,
        BatchInput::Requests(requests) => {
            batch.requests(requests, |request, rows, out| stage.apply(request, rows, out))?.0
        }
    };
    batch.derived(consumed)
}

/// Captures the versions of live requests, submits the requests, and returns one reply to each, in order.
///
/// # Errors
/// [`StageError`] when an invariant does not hold. Nothing of the batch may be committed then.
pub fn derive_requests<S: IngressStage>(
    stage: &S,
    context: &BatchContext<'_>,
    requests: Vec<Event<S::Input>>,
    rows: WorkingSet,
) -> Result<(Derived, Vec<S::Reply>), StageError> {
    let mut batch = Batch::new(context, rows);
    let (consumed, replies) = batch.requests(requests, |request, rows, out| {
        stage.capture(request, rows)?;
        stage.submit(request, rows, out)
    })?;
    Ok((batch.derived(consumed)?, replies))
}

/// A batch while its events are applied.
struct Batch<'a, F> {
    context: &'a BatchContext<'a>,
    rows: WorkingSet,
    out: Outputs<F>,
    checkpoint: Checkpoint,
    without_effect: Vec<usize>,
    arrived_at: Vec<DateTime<Utc>>,
    has_effect: bool,
}

impl<'a, F: Payload> Batch<'a, F> {
    fn new(context: &'a BatchContext<'a>, rows: WorkingSet) -> Self {
        let out = Outputs::new(context.partitions, context.owner.clone(), context.number);
        let (checkpoint, without_effect, arrived_at) = (context.before.clone(), Vec::new(), Vec::new());
        Self { context, rows, out, checkpoint, without_effect, arrived_at, has_effect: false }
    }

    fn frames<S: Stage<Output = F>>(
        &mut self,
        stage: &S,
        frames: &[(Frame, Vec<Event<S::Input>>)],
    ) -> Result<Consumed, StageError> {
        for (frame, events) in frames {
            self.checkpoint.positions.advance(frame);
            for event in events {
                let before = self.effects();
                self.out.caused_by(&event.cause);
                stage.apply(event, &mut self.rows, &mut self.out)?;
                if self.effects() != before {
                    self.arrived_at.push(event.cause.time);
                }
            }
        }
        // Having read frames is an effect in itself.
        self.has_effect = !frames.is_empty();
        Ok(Consumed::Frames(FrameRange::of(frames.iter().map(|(frame, _)| frame))))
    }

    /// Requests without any effect are not recorded.
    fn requests<I: Payload, R>(
        &mut self,
        requests: Vec<Event<I>>,
        apply: impl Fn(&mut Event<I>, &mut WorkingSet, &mut Outputs<F>) -> Result<R, StageError>,
    ) -> Result<(Consumed, Vec<R>), StageError> {
        let (mut recorded, mut replies) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
        for (at, mut request) in requests.into_iter().enumerate() {
            let before = self.effects();
            self.out.caused_by(&request.cause);
            replies.push(apply(&mut request, &mut self.rows, &mut self.out)?);
            if self.effects() == before {
                self.without_effect.push(at);
            } else {
                recorded.push(write_event(&request, self.context.owner)?);
                self.arrived_at.push(request.cause.time);
            }
        }
        self.has_effect = !recorded.is_empty();
        let consumed = Consumed::Requests(serde_json::value::RawValue::from_string(batch_of(&recorded))?);
        Ok((consumed, replies))
    }

    /// Grows with every changed row and every emitted fact.
    fn effects(&self) -> (u64, u64) {
        (self.rows.writes(), self.out.count)
    }

    fn derived(self, consumed: Consumed) -> Result<Derived, StageError> {
        let Self { context, rows, out, mut checkpoint, without_effect, arrived_at, has_effect } = self;
        let (mut frames, mut origins) = (Vec::new(), Vec::new());
        for (target, emitted) in out.emitted {
            origins.extend(emitted.iter().map(|emission| Origin { cause: emission.place, kind: emission.fact.kind() }));
            pack(context.owner, &target, &emitted, &mut checkpoint, &mut frames)?;
        }
        Ok(Derived {
            consumed,
            checkpoint,
            frames,
            changes: rows.changes(),
            origins,
            without_effect,
            has_effect,
            arrived_at,
        })
    }
}

/// Packs the facts emitted to one target into as few frames as the limits allow.
fn pack<F: Payload>(
    producer: &Producer,
    target: &StreamPartition,
    emitted: &[Emission<F>],
    checkpoint: &mut Checkpoint,
    frames: &mut Vec<Frame>,
) -> Result<(), StageError> {
    let mut last = checkpoint.last_frames.get(target).copied().unwrap_or(LastFrame { seq: Seq(0), hash: Hash::ZERO });
    let mut packed: Vec<String> = Vec::new();
    let mut bytes = 0;
    for emission in emitted {
        let mut text = place_event(producer, target, last.seq.next(), packed.len(), emission)?;
        if packed.len() == FRAME_FACTS_MAX || (bytes + text.len() > FRAME_BYTES_MAX && !packed.is_empty()) {
            close(producer, target, &mut last, &mut packed, frames);
            bytes = 0;
            text = place_event(producer, target, last.seq.next(), 0, emission)?;
        }
        bytes += text.len() + 1;
        packed.push(text);
    }
    close(producer, target, &mut last, &mut packed, frames);
    checkpoint.last_frames.insert(target.clone(), last);
    Ok(())
}

fn close(
    producer: &Producer,
    target: &StreamPartition,
    last: &mut LastFrame,
    packed: &mut Vec<String>,
    frames: &mut Vec<Frame>,
) {
    let (seq, facts) = (last.seq.next(), packed.len());
    let frame = Frame::seal(producer.clone(), target.clone(), seq, last.hash, facts, batch_of(packed));
    packed.clear();
    *last = LastFrame { seq, hash: frame.hash };
    frames.push(frame);
}

fn place_event<F: Payload>(
    producer: &Producer,
    target: &StreamPartition,
    seq: Seq,
    index: usize,
    emission: &Emission<F>,
) -> serde_json::Result<String> {
    let id = EventId::of(producer, target, seq, index);
    let mut cause = emission.cause.clone();
    cause.traceparent = cause.traceparent.step(&id);
    write_parts(&id, &cause, &emission.key, &emission.fact, producer)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        Cause, Key, Partition, Partitioning, Producers, ReadSet, RequestId, Row, Stream, Table, Traceparent,
        read_events,
    };

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Added {
        name: String,
        by: u64,
    }

    crate::payload! {
        enum Fact { Added(Added) }
    }

    crate::row! {
        /// A counter.
        struct Counter: "counters" { key { name: String => crate::Text } value { count: u64 => crate::Integer } }
    }

    const ADDED: Stream = Stream {
        name: "added",
        service: "test",
        producers: &[("count", Producers::All(Partitioning::Unkeyed))],
        facts: &["Added"],
    };

    /// Counts, and emits every request that adds something.
    struct Count;

    impl Stage for Count {
        type Input = Fact;
        type Output = Fact;
        const NAME: &'static str = "count";
        const PARTITIONING: Partitioning = Partitioning::Unkeyed;
        const TABLES: &'static [&'static Table] = &[Counter::TABLE];

        fn read_set(&self, event: &Event<Fact>, _: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
            let Fact::Added(added) = &event.fact;
            reads.row::<Counter>(&(added.name.clone(),));
            Ok(())
        }

        fn apply(&self, event: &Event<Fact>, rows: &mut WorkingSet, out: &mut Outputs<Fact>) -> Result<(), StageError> {
            self.submit(event, rows, out).map(drop)
        }
    }

    impl IngressStage for Count {
        type Reply = u64;

        fn submit(
            &self,
            event: &Event<Fact>,
            rows: &mut WorkingSet,
            out: &mut Outputs<Fact>,
        ) -> Result<u64, StageError> {
            let Fact::Added(added) = &event.fact;
            let count = rows.get::<Counter>(&(added.name.clone(),))?.map_or(0, |counter| counter.count) + added.by;
            if added.by > 0 {
                rows.put(&Counter { name: added.name.clone(), count })?;
                out.emit(&ADDED, Key(added.name.clone()), event.fact.clone())?;
            }
            Ok(count)
        }
    }

    fn request(name: &str, by: u64) -> Event<Fact> {
        Event {
            id: EventId(String::new()),
            cause: Cause {
                time: chrono::DateTime::UNIX_EPOCH,
                request_id: RequestId(format!("{name}+{by}")),
                traceparent: Traceparent("00-1-2-01".into()),
            },
            key: Key(name.into()),
            fact: Fact::Added(Added { name: name.into(), by }),
        }
    }

    fn run(requests: Vec<Event<Fact>>) -> (Derived, Vec<u64>) {
        let owner = Producer::new("count", Partition(0));
        let before = Checkpoint::default();
        let partitions = PartitionCount::new(1).unwrap();
        let context = BatchContext { owner: &owner, number: BatchNumber(2), partitions, before: &before };
        let (mut rows, mut keys) = (WorkingSet::default(), ReadSet::default());
        requests.iter().for_each(|event| Count.read_set(event, &rows, &mut keys).unwrap());
        keys.iter().for_each(|(table, wanted)| rows.fill(table, wanted, Vec::new()));
        derive_requests(&Count, &context, requests, rows).unwrap()
    }

    #[test]
    fn a_request_without_effect_gets_a_reply_and_is_not_recorded() {
        let (derived, replies) = run(vec![request("a", 0)]);
        assert_eq!((replies, derived.has_effect, derived.changes.len()), (vec![0], false, 0));
        let (derived, replies) = run(vec![request("a", 2), request("a", 0), request("a", 1)]);
        assert_eq!((replies, derived.has_effect, derived.changes.len()), (vec![2, 2, 3], true, 1));
        assert_eq!(derived.without_effect, [1]);
        let Consumed::Requests(taken) = derived.consumed else { panic!("requests were read") };
        assert_eq!((read_events::<Fact>(taken.get()).unwrap().len(), derived.arrived_at.len()), (2, 2));
    }

    #[test]
    fn only_declared_producers_emit_declared_facts() {
        let elsewhere = Stream { facts: &["Taken"], ..ADDED };
        let of_another = Stream { producers: &[("post", Producers::SamePartition)], ..ADDED };
        let mut out =
            Outputs::new(PartitionCount::new(1).unwrap(), Producer::new("count", Partition(0)), BatchNumber(1));
        let Event { cause, key, fact, .. } = request("a", 1);
        out.caused_by(&cause);
        for stream in [elsewhere, of_another] {
            assert!(matches!(out.emit(&stream, key.clone(), fact.clone()), Err(StageError::Rule(_))));
        }
        assert!(out.emit(&ADDED, key, fact).is_ok() && out.count == 1);
    }

    #[test]
    fn every_emitted_fact_names_its_cause() {
        let (derived, _) = run(vec![request("a", 2), request("b", 0), request("b", 1)]);
        assert_eq!(derived.origins, [0, 2].map(|cause| Origin { cause, kind: "Added" }));
        let emitted = read_events::<Fact>(&derived.frames[0].body).unwrap();
        let requests: Vec<_> = emitted.iter().map(|event| event.cause.request_id.0.as_str()).collect();
        assert_eq!(requests, ["a+2", "b+1"]);
    }

    #[test]
    fn emitted_facts_are_packed_into_chained_frames() {
        let (derived, _) = run((0..2_500).map(|_| request("a", 1)).collect());
        let facts: Vec<_> = derived.frames.iter().map(|frame| frame.facts).collect();
        assert_eq!(facts, [1_000, 1_000, 500]);
        assert_eq!(derived.frames[1].previous, derived.frames[0].hash);
        let events = read_events::<Fact>(&derived.frames[2].body).unwrap();
        assert_eq!(events[499].id.0, "count/0>added/0#3.499");
        let (big, _) = run((0..30).map(|_| request(&"x".repeat(100_000), 1)).collect());
        assert!(big.frames.len() > 2 && big.frames.iter().all(|frame| frame.body.len() <= FRAME_BYTES_MAX));
    }
}
