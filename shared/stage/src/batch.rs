//! One batch: facts in; changed rows, frames and the next checkpoint out.

use chrono::{DateTime, Utc};

use crate::frame::{batch_of, write_event, write_parts};
use crate::stage_trait::Saying;
use crate::{
    BatchNumber, Broken, Change, Checkpoint, Event, EventId, FRAME_BYTES_MAX, FRAME_FACTS_MAX, Frame, Hash, Head,
    Outputs, PartitionCount, Payload, Producer, Read, Rows, Run, Seq, Stage, Target,
};

/// What a batch reads: all frames, or all requests.
pub enum Input<F> {
    /// Admitted frames with their facts, in order.
    Frames(Vec<(Frame, Vec<Event<F>>)>),
    /// The requests of a way in, in order.
    Requests(Vec<Event<F>>),
}

impl<F> Input<F> {
    /// All events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event<F>> {
        let (frames, requests) = match self {
            Input::Frames(frames) => (frames.as_slice(), [].as_slice()),
            Input::Requests(requests) => ([].as_slice(), requests.as_slice()),
        };
        frames.iter().flat_map(|(_, events)| events).chain(requests)
    }
}

/// Whether requests still have to be told which versions they are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// They are new: [`Stage::pin`] writes it into them.
    Live,
    /// They come from a batch record, which says it.
    Recorded,
}

/// What a batch comes to. Nothing of it is durable yet.
pub struct Derived<A> {
    /// What was read, for the batch record. Requests that had no effect are not in it.
    pub read: Read,
    /// Where to go on after it.
    pub checkpoint: Checkpoint,
    /// What to tell once it is committed.
    pub frames: Vec<Frame>,
    /// The rows to write.
    pub changes: Vec<Change>,
    /// One answer per event, in order.
    pub answers: Vec<A>,
    /// Where each fact that was said comes from, in the order of the frames.
    pub origins: Vec<Origin>,
    /// The places of the requests that had no effect.
    pub idle: Vec<usize>,
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
pub struct Place<'a> {
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
/// [`Broken`] when an invariant does not hold; nothing of the batch may then be committed.
pub fn derive<S: Stage>(
    stage: &S,
    place: &Place<'_>,
    input: Input<S::Fact>,
    mut rows: Rows,
    pinning: Pinning,
) -> Result<Derived<S::Answer>, Broken> {
    let mut say = Outputs::new(place.partitions, place.owner.partition, place.number);
    let mut checkpoint = place.before.clone();
    let (mut answers, mut idle, mut since) = (Vec::new(), Vec::new(), Vec::new());
    let (read, has_effect) = match input {
        Input::Frames(frames) => {
            for (frame, events) in &frames {
                checkpoint.positions.advance(frame);
                for event in events {
                    let (answer, effect) = apply(stage, event, &mut rows, &mut say)?;
                    answers.push(answer);
                    match effect {
                        Effect::Lasting => since.push(event.cause.time),
                        Effect::AnswerOnly => {}
                    }
                }
            }
            // Having read them is an effect.
            (Read::Frames(Run::of(frames.iter().map(|(frame, _)| frame))), !frames.is_empty())
        }
        Input::Requests(requests) => {
            let mut taken = Vec::with_capacity(requests.len());
            for (at, mut request) in requests.into_iter().enumerate() {
                if pinning == Pinning::Live {
                    stage.pin(&mut request, &rows)?;
                }
                let (answer, effect) = apply(stage, &request, &mut rows, &mut say)?;
                answers.push(answer);
                match effect {
                    Effect::Lasting => {
                        taken.push(write_event(&request, place.owner)?);
                        since.push(request.cause.time);
                    }
                    Effect::AnswerOnly => idle.push(at),
                }
            }
            let read = Read::Requests(serde_json::value::RawValue::from_string(batch_of(&taken))?);
            (read, !taken.is_empty())
        }
    };
    let (mut frames, mut origins) = (Vec::new(), Vec::new());
    for (target, said) in say.said {
        origins.extend(said.iter().map(|saying| Origin { cause: saying.place, kind: saying.fact.kind() }));
        pack(place.owner, &target, &said, &mut checkpoint, &mut frames)?;
    }
    Ok(Derived { read, checkpoint, frames, changes: rows.changes(), answers, origins, idle, has_effect, since })
}

/// What followed from an event.
enum Effect {
    /// A row was changed, or a fact was said.
    Lasting,
    /// Nothing but the answer.
    AnswerOnly,
}

fn apply<S: Stage>(
    stage: &S,
    event: &Event<S::Fact>,
    rows: &mut Rows,
    say: &mut Outputs<S::Said>,
) -> Result<(S::Answer, Effect), Broken> {
    let before = (rows.writes(), say.count);
    say.caused_by(&event.cause);
    let answer = stage.apply(event, rows, say)?;
    let effect = if before == (rows.writes(), say.count) { Effect::AnswerOnly } else { Effect::Lasting };
    Ok((answer, effect))
}

/// Packs what was said to one target into as few frames as the limits allow.
fn pack<F: Payload>(
    producer: &Producer,
    target: &Target,
    said: &[Saying<F>],
    checkpoint: &mut Checkpoint,
    frames: &mut Vec<Frame>,
) -> Result<(), Broken> {
    let mut head = checkpoint.heads.get(target).copied().unwrap_or(Head { seq: Seq(0), hash: Hash::ZERO });
    let mut packed: Vec<String> = Vec::new();
    let mut bytes = 0;
    for saying in said {
        let mut text = place_event(producer, target, head.seq.next(), packed.len(), saying)?;
        if packed.len() == FRAME_FACTS_MAX || (bytes + text.len() > FRAME_BYTES_MAX && !packed.is_empty()) {
            close(producer, target, &mut head, &mut packed, frames);
            bytes = 0;
            text = place_event(producer, target, head.seq.next(), 0, saying)?;
        }
        bytes += text.len() + 1;
        packed.push(text);
    }
    close(producer, target, &mut head, &mut packed, frames);
    checkpoint.heads.insert(target.clone(), head);
    Ok(())
}

fn close(producer: &Producer, target: &Target, head: &mut Head, packed: &mut Vec<String>, frames: &mut Vec<Frame>) {
    let (seq, facts) = (head.seq.next(), packed.len());
    let frame = Frame::seal(producer.clone(), target.clone(), seq, head.hash, facts, batch_of(packed));
    packed.clear();
    *head = Head { seq, hash: frame.hash };
    frames.push(frame);
}

fn place_event<F: Payload>(
    producer: &Producer,
    target: &Target,
    seq: Seq,
    index: usize,
    saying: &Saying<F>,
) -> serde_json::Result<String> {
    let id = EventId::of(producer, target, seq, index);
    let mut cause = saying.cause.clone();
    cause.traceparent = cause.traceparent.step(&id);
    write_parts(&id, &cause, &saying.key, &saying.fact, producer)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{Cause, Key, Keys, Partition, RequestId, Row, Spread, Stream, Table, Traceparent, read_events};

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
        Stream { name: "added", service: "test", producers: &[("count", Spread::Lanes)], facts: &["Added"] };

    /// Counts, and repeats every request that adds something.
    struct Count;

    impl Stage for Count {
        type Fact = Fact;
        type Said = Fact;
        type Answer = u64;
        const NAME: &'static str = "count";
        const SPREAD: Spread = Spread::Lanes;
        const READS: &'static [&'static Stream] = &[];
        const TABLES: &'static [&'static Table] = &[Counter::TABLE];

        fn keys(&self, event: &Event<Fact>, _: &Rows, keys: &mut Keys) -> Result<(), Broken> {
            let Fact::Added(added) = &event.fact;
            keys.row::<Counter>(&(added.name.clone(),));
            Ok(())
        }

        fn apply(&self, event: &Event<Fact>, rows: &mut Rows, say: &mut Outputs<Fact>) -> Result<u64, Broken> {
            let Fact::Added(added) = &event.fact;
            let count = rows.get::<Counter>(&(added.name.clone(),))?.map_or(0, |counter| counter.count) + added.by;
            if added.by > 0 {
                rows.put(&Counter { name: added.name.clone(), count })?;
                say.to(&ADDED, Key(added.name.clone()), event.fact.clone())?;
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
        let place = Place { owner: &owner, number: BatchNumber(2), partitions, before: &before };
        let (mut rows, mut keys) = (Rows::default(), Keys::default());
        requests.iter().for_each(|event| Count.keys(event, &rows, &mut keys).unwrap());
        keys.iter().for_each(|(table, wanted)| rows.fill(table, wanted, Vec::new()));
        derive(&Count, &place, Input::Requests(requests), rows, Pinning::Live).unwrap()
    }

    #[test]
    fn a_request_without_effect_is_answered_and_not_recorded() {
        let derived = run(vec![request("a", 0)]);
        assert_eq!((derived.answers, derived.has_effect, derived.changes.len()), (vec![0], false, 0));
        let derived = run(vec![request("a", 2), request("a", 0), request("a", 1)]);
        assert_eq!((derived.answers, derived.has_effect, derived.changes.len()), (vec![2, 2, 3], true, 1));
        assert_eq!(derived.idle, [1]);
        let Read::Requests(taken) = derived.read else { panic!("requests were read") };
        assert_eq!((read_events::<Fact>(taken.get()).unwrap().len(), derived.since.len()), (2, 2));
    }

    #[test]
    fn a_fact_that_does_not_stand_in_a_stream_is_never_said_there() {
        let elsewhere = Stream { facts: &["Taken"], ..ADDED };
        let mut say = Outputs::new(PartitionCount::new(1).unwrap(), Partition(0), BatchNumber(1));
        let Event { cause, key, fact, .. } = request("a", 1);
        say.caused_by(&cause);
        assert!(matches!(say.to(&elsewhere, key.clone(), fact.clone()), Err(Broken::Rule(_))));
        assert!(say.to(&ADDED, key, fact).is_ok() && say.count == 1);
    }

    #[test]
    fn every_fact_that_was_said_names_its_cause() {
        let derived = run(vec![request("a", 2), request("b", 0), request("b", 1)]);
        assert_eq!(derived.origins, [0, 2].map(|cause| Origin { cause, kind: "Added" }));
        let said = read_events::<Fact>(&derived.frames[0].body).unwrap();
        let requests: Vec<_> = said.iter().map(|event| event.cause.request_id.0.as_str()).collect();
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
