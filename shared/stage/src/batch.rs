//! One batch: facts in; changed rows, frames and the next checkpoint out.

use chrono::{DateTime, Utc};

use crate::frame::{batch_of, write_event, write_parts};
use crate::stage_trait::Emission;
use crate::{
    BatchNumber, Change, Checkpoint, Consumed, Event, EventId, FRAME_BYTES_MAX, FRAME_FACTS_MAX, Frame, FrameRange,
    Hash, LastFrame, Outputs, PartitionCount, Payload, Producer, Seq, Stage, StageError, StreamPartition, WorkingSet,
};

/// What a batch reads: all frames, or all requests.
pub enum BatchInput<F> {
    /// Admitted frames with their facts, in order.
    Frames(Vec<(Frame, Vec<Event<F>>)>),
    /// The requests of a way in, in order.
    Requests(Vec<Event<F>>),
}

impl<F> BatchInput<F> {
    /// All events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event<F>> {
        let (frames, requests) = match self {
            BatchInput::Frames(frames) => (frames.as_slice(), [].as_slice()),
            BatchInput::Requests(requests) => ([].as_slice(), requests.as_slice()),
        };
        frames.iter().flat_map(|(_, events)| events).chain(requests)
    }
}

/// Whether requests still have to be told which versions they are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// They are new: [`Stage::pin`] writes it into them.
    Live,
    /// They come from a batch record, which says it.
    Recorded,
}

/// What a batch comes to. Nothing of it is durable yet.
pub struct Derived<A> {
    /// What was read, for the batch record. Requests that had no effect are not in it.
    pub read: Consumed,
    /// Where to go on after it.
    pub checkpoint: Checkpoint,
    /// What to tell once it is committed.
    pub frames: Vec<Frame>,
    /// The rows to write.
    pub changes: Vec<Change>,
    /// One answer per event, in order.
    pub replies: Vec<A>,
    /// Where each fact that was said comes from, in the order of the frames.
    pub origins: Vec<Origin>,
    /// The places of the requests that had no effect.
    pub without_effect: Vec<usize>,
    /// Whether anything is to be committed at all.
    pub has_effect: bool,
    /// When the requests behind it came in: one time for each event from which something followed.
    pub since: Vec<DateTime<Utc>>,
}

/// Where a fact that was said comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The place of its cause among the batch's events.
    pub cause: usize,
    /// Its type.
    pub kind: &'static str,
}

/// Where a batch is derived.
pub struct BatchContext<'a> {
    /// The partition of the stage.
    pub owner: &'a Producer,
    /// The number its record will have.
    pub number: BatchNumber,
    /// How many partitions every stream has.
    pub partitions: PartitionCount,
    /// Where the batch before it ended.
    pub before: &'a Checkpoint,
}

/// Applies the facts of one batch to the rows loaded for it.
///
/// # Errors
/// [`StageError`] when an invariant does not hold; nothing of the batch may then be committed.
pub fn derive<S: Stage>(
    stage: &S,
    context: &BatchContext<'_>,
    input: BatchInput<S::Input>,
    mut rows: WorkingSet,
    capture: Capture,
) -> Result<Derived<S::Reply>, StageError> {
    let mut out = Outputs::new(context.partitions, context.owner.partition, context.number);
    let mut checkpoint = context.before.clone();
    let (mut replies, mut without_effect, mut since) = (Vec::new(), Vec::new(), Vec::new());
    let (read, has_effect) = match input {
        BatchInput::Frames(frames) => {
            for (frame, events) in &frames {
                checkpoint.positions.advance(frame);
                for event in events {
                    let (reply, effect) = apply(stage, event, &mut rows, &mut out)?;
                    replies.push(reply);
                    match effect {
                        Effect::Lasting => since.push(event.cause.time),
                        Effect::AnswerOnly => {}
                    }
                }
            }
            // Having read them is an effect.
            (Consumed::Frames(FrameRange::of(frames.iter().map(|(frame, _)| frame))), !frames.is_empty())
        }
        BatchInput::Requests(requests) => {
            let mut taken = Vec::with_capacity(requests.len());
            for (at, mut request) in requests.into_iter().enumerate() {
                if capture == Capture::Live {
                    stage.capture(&mut request, &rows)?;
                }
                let (reply, effect) = apply(stage, &request, &mut rows, &mut out)?;
                replies.push(reply);
                match effect {
                    Effect::Lasting => {
                        taken.push(write_event(&request, context.owner)?);
                        since.push(request.cause.time);
                    }
                    Effect::AnswerOnly => without_effect.push(at),
                }
            }
            let read = Consumed::Requests(serde_json::value::RawValue::from_string(batch_of(&taken))?);
            (read, !taken.is_empty())
        }
    };
    let (mut frames, mut origins) = (Vec::new(), Vec::new());
    for (target, emitted) in out.emitted {
        origins.extend(emitted.iter().map(|emission| Origin { cause: emission.place, kind: emission.fact.kind() }));
        pack(context.owner, &target, &emitted, &mut checkpoint, &mut frames)?;
    }
    Ok(Derived {
        read,
        checkpoint,
        frames,
        changes: rows.changes(),
        replies,
        origins,
        without_effect,
        has_effect,
        since,
    })
}

/// What followed from an event.
enum Effect {
    /// A row was changed, or a fact was said.
    Lasting,
    /// Nothing but the reply.
    AnswerOnly,
}

fn apply<S: Stage>(
    stage: &S,
    event: &Event<S::Input>,
    rows: &mut WorkingSet,
    out: &mut Outputs<S::Output>,
) -> Result<(S::Reply, Effect), StageError> {
    let before = (rows.writes(), out.count);
    out.caused_by(&event.cause);
    let reply = stage.apply(event, rows, out)?;
    let effect = if before == (rows.writes(), out.count) { Effect::AnswerOnly } else { Effect::Lasting };
    Ok((reply, effect))
}

/// Packs what was said to one target into as few frames as the limits allow.
fn pack<F: Payload>(
    producer: &Producer,
    target: &StreamPartition,
    emitted: &[Emission<F>],
    checkpoint: &mut Checkpoint,
    frames: &mut Vec<Frame>,
) -> Result<(), StageError> {
    let mut head = checkpoint.last_frames.get(target).copied().unwrap_or(LastFrame { seq: Seq(0), hash: Hash::ZERO });
    let mut packed: Vec<String> = Vec::new();
    let mut bytes = 0;
    for emission in emitted {
        let mut text = place_event(producer, target, head.seq.next(), packed.len(), emission)?;
        if packed.len() == FRAME_FACTS_MAX || (bytes + text.len() > FRAME_BYTES_MAX && !packed.is_empty()) {
            close(producer, target, &mut head, &mut packed, frames);
            bytes = 0;
            text = place_event(producer, target, head.seq.next(), 0, emission)?;
        }
        bytes += text.len() + 1;
        packed.push(text);
    }
    close(producer, target, &mut head, &mut packed, frames);
    checkpoint.last_frames.insert(target.clone(), head);
    Ok(())
}

fn close(
    producer: &Producer,
    target: &StreamPartition,
    head: &mut LastFrame,
    packed: &mut Vec<String>,
    frames: &mut Vec<Frame>,
) {
    let (seq, facts) = (head.seq.next(), packed.len());
    let frame = Frame::seal(producer.clone(), target.clone(), seq, head.hash, facts, batch_of(packed));
    packed.clear();
    *head = LastFrame { seq, hash: frame.hash };
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
        Cause, Key, Partition, Partitioning, ReadSet, RequestId, Row, Stream, Table, Traceparent, read_events,
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

    const ADDED: Stream =
        Stream { name: "added", service: "test", producers: &[("count", Partitioning::Unkeyed)], facts: &["Added"] };

    /// Counts, and repeats every request that adds something.
    struct Count;

    impl Stage for Count {
        type Input = Fact;
        type Output = Fact;
        type Reply = u64;
        const NAME: &'static str = "count";
        const PARTITIONING: Partitioning = Partitioning::Unkeyed;
        const READS: &'static [&'static Stream] = &[];
        const TABLES: &'static [&'static Table] = &[Counter::TABLE];

        fn keys(&self, event: &Event<Fact>, _: &WorkingSet, keys: &mut ReadSet) -> Result<(), StageError> {
            let Fact::Added(added) = &event.fact;
            keys.row::<Counter>(&(added.name.clone(),));
            Ok(())
        }

        fn apply(
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

    fn run(requests: Vec<Event<Fact>>) -> Derived<u64> {
        let owner = Producer::new("count", Partition(0));
        let before = Checkpoint::default();
        let partitions = PartitionCount::new(1).unwrap();
        let context = BatchContext { owner: &owner, number: BatchNumber(2), partitions, before: &before };
        let (mut rows, mut keys) = (WorkingSet::default(), ReadSet::default());
        requests.iter().for_each(|event| Count.keys(event, &rows, &mut keys).unwrap());
        keys.iter().for_each(|(table, wanted)| rows.fill(table, wanted, Vec::new()));
        derive(&Count, &context, BatchInput::Requests(requests), rows, Capture::Live).unwrap()
    }

    #[test]
    fn a_request_without_effect_is_answered_and_not_recorded() {
        let derived = run(vec![request("a", 0)]);
        assert_eq!((derived.replies, derived.has_effect, derived.changes.len()), (vec![0], false, 0));
        let derived = run(vec![request("a", 2), request("a", 0), request("a", 1)]);
        assert_eq!((derived.replies, derived.has_effect, derived.changes.len()), (vec![2, 2, 3], true, 1));
        assert_eq!(derived.without_effect, [1]);
        let Consumed::Requests(taken) = derived.read else { panic!("requests were read") };
        assert_eq!((read_events::<Fact>(taken.get()).unwrap().len(), derived.since.len()), (2, 2));
    }

    #[test]
    fn a_fact_that_does_not_stand_in_a_stream_is_never_said_there() {
        let elsewhere = Stream { facts: &["Taken"], ..ADDED };
        let mut out = Outputs::new(PartitionCount::new(1).unwrap(), Partition(0), BatchNumber(1));
        let Event { cause, key, fact, .. } = request("a", 1);
        out.caused_by(&cause);
        assert!(matches!(out.emit(&elsewhere, key.clone(), fact.clone()), Err(StageError::Rule(_))));
        assert!(out.emit(&ADDED, key, fact).is_ok() && out.count == 1);
    }

    #[test]
    fn every_fact_that_was_said_names_its_cause() {
        let derived = run(vec![request("a", 2), request("b", 0), request("b", 1)]);
        assert_eq!(derived.origins, [0, 2].map(|cause| Origin { cause, kind: "Added" }));
        let emitted = read_events::<Fact>(&derived.frames[0].body).unwrap();
        let requests: Vec<_> = emitted.iter().map(|event| event.cause.request_id.0.as_str()).collect();
        assert_eq!(requests, ["a+2", "b+1"]);
    }

    #[test]
    fn what_is_said_is_cut_into_frames_that_chain() {
        let derived = run((0..2_500).map(|_| request("a", 1)).collect());
        let facts: Vec<_> = derived.frames.iter().map(|frame| frame.facts).collect();
        assert_eq!(facts, [1_000, 1_000, 500]);
        assert_eq!(derived.frames[1].previous, derived.frames[0].hash);
        let events = read_events::<Fact>(&derived.frames[2].body).unwrap();
        assert_eq!(events[499].id.0, "count/0>added/0#3.499");
        let big = run((0..30).map(|_| request(&"x".repeat(100_000), 1)).collect());
        assert!(big.frames.len() > 2 && big.frames.iter().all(|frame| frame.body.len() <= FRAME_BYTES_MAX));
    }
}
