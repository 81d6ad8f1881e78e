//! Frames: facts of one producer for one stream partition, packed into one message.
//!
//! The body is a `CloudEvents` 1.0 JSON batch (`application/cloudevents-batch+json`). The hash chains every frame to
//! its predecessor, so one remembered hash pins the producer's whole history. An ingress stage records its requests in
//! the same format.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Cause, Digest, Event, EventId, Hash, Key, Payload, Producer, RequestId, Seq, StreamPartition, Traceparent,
    UnknownPayload,
};

/// The maximum number of facts in a frame. A reader commits a frame as a whole and keeps its rows in memory meanwhile.
/// Part of the format: another value would pack the same facts into different frames.
pub const FRAME_FACTS_MAX: usize = 1_000;
/// The maximum size of a frame's body in bytes, unless a single fact is larger; well below the message limit of a
/// broker. Part of the format too.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The producer.
    pub producer: Producer,
    /// The stream partition it is sent to.
    pub target: StreamPartition,
    /// Its number among the producer's frames for the target.
    pub seq: Seq,
    /// The hash of the previous frame, or [`Hash::ZERO`] for the first.
    pub previous: Hash,
    /// The hash of this one.
    pub hash: Hash,
    /// The number of facts in the body.
    pub facts: usize,
    /// The facts, as a JSON array.
    pub body: String,
}

impl Frame {
    /// Builds a frame and computes its hash.
    pub fn seal(
        producer: Producer,
        target: StreamPartition,
        seq: Seq,
        previous: Hash,
        facts: usize,
        body: String,
    ) -> Self {
        let hash = Self::chain(&producer, &target, seq, previous, &body);
        Self { producer, target, seq, previous, hash, facts, body }
    }

    /// Whether the hash matches the content of the frame.
    pub fn is_intact(&self) -> bool {
        self.hash == Self::chain(&self.producer, &self.target, self.seq, self.previous, &self.body)
    }

    fn chain(producer: &Producer, target: &StreamPartition, seq: Seq, previous: Hash, body: &str) -> Hash {
        Digest::default()
            .part(producer.to_string().as_bytes())
            .part(target.to_string().as_bytes())
            .part(&seq.0.to_be_bytes())
            .part(&previous.0)
            .part(body.as_bytes())
            .finish()
    }
}

/// A body that this reader cannot decode.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The body is not a JSON batch.
    #[error("not a CloudEvents batch")]
    Batch(#[source] serde_json::Error),
    /// One of its facts cannot be decoded.
    #[error("event {id}")]
    Fact {
        /// The id of the event.
        id: String,
        /// The cause.
        #[source]
        source: UnknownPayload,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a, D> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    time: DateTime<Utc>,
    #[serde(borrow)]
    requestid: Cow<'a, str>,
    #[serde(borrow)]
    traceparent: Cow<'a, str>,
    data: D,
}

/// One event as JSON. `source` is the producer.
pub(crate) fn write_event<F: Payload>(event: &Event<F>, source: &Producer) -> serde_json::Result<String> {
    write_parts(&event.id, &event.cause, &event.key, &event.fact, source)
}

/// The parts of an event as JSON.
pub(crate) fn write_parts<F: Payload>(
    id: &EventId,
    cause: &Cause,
    key: &Key,
    fact: &F,
    source: &Producer,
) -> serde_json::Result<String> {
    serde_json::to_string(&Envelope {
        specversion: "1.0".into(),
        id: id.0.as_str().into(),
        source: format!("/{source}").into(),
        kind: fact.kind().into(),
        subject: key.0.as_str().into(),
        time: cause.time,
        requestid: cause.request_id.0.as_str().into(),
        traceparent: cause.traceparent.0.as_str().into(),
        data: fact.to_data()?,
    })
}

/// Events as one batch body.
///
/// # Errors
/// When a fact has no JSON form.
pub fn write_events<F: Payload>(events: &[Event<F>], source: &Producer) -> serde_json::Result<String> {
    let events = events.iter().map(|event| write_event(event, source)).collect::<Result<Vec<_>, _>>()?;
    Ok(batch_of(&events))
}

/// JSON texts as one JSON array.
pub(crate) fn batch_of(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

/// The events of a batch body.
///
/// # Errors
/// [`Unreadable`] when the body is not a batch, or holds a fact this reader does not know.
pub fn read_events<F: Payload>(body: &str) -> Result<Vec<Event<F>>, Unreadable> {
    let envelopes: Vec<Envelope<'_, &RawValue>> = serde_json::from_str(body).map_err(Unreadable::Batch)?;
    envelopes.into_iter().map(read_event).collect()
}

fn read_event<F: Payload>(envelope: Envelope<'_, &RawValue>) -> Result<Event<F>, Unreadable> {
    let fact = F::from_data(&envelope.kind, envelope.data)
        .map_err(|source| Unreadable::Fact { id: envelope.id.clone().into_owned(), source })?;
    Ok(Event {
        id: EventId(envelope.id.into_owned()),
        cause: Cause {
            time: envelope.time,
            request_id: RequestId(envelope.requestid.into_owned()),
            traceparent: Traceparent(envelope.traceparent.into_owned()),
        },
        key: Key(envelope.subject.into_owned()),
        fact,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Noted {
        text: String,
    }

    crate::payload! {
        enum Note { Noted(Noted) }
    }

    fn event(text: &str) -> Event<Note> {
        Event {
            id: EventId("a/0>notes/1#1.0".into()),
            cause: Cause {
                time: "2011-12-09T12:50:00.5Z".parse().unwrap(),
                request_id: RequestId("r\"1".into()),
                traceparent: Traceparent("00-1-2-01".into()),
            },
            key: Key("customer:\\é".into()),
            fact: Note::Noted(Noted { text: text.into() }),
        }
    }

    fn producer() -> Producer {
        Producer::new("a", Partition(0))
    }

    #[test]
    fn events_are_read_back_as_written() {
        let events = vec![event("one"), event("two \"quoted\" £")];
        let body = write_events(&events, &producer()).unwrap();
        assert_eq!(read_events::<Note>(&body).unwrap(), events);
        assert_eq!(write_events(&read_events::<Note>(&body).unwrap(), &producer()).unwrap(), body);
    }

    #[test]
    fn the_error_names_an_unknown_fact() {
        let body = write_events(&[event("one")], &producer()).unwrap().replace("\"Noted\"", "\"Sung\"");
        let error = read_events::<Note>(&body).unwrap_err();
        assert!(matches!(error, Unreadable::Fact { source: UnknownPayload::Type(kind), .. } if kind == "Sung"));
        assert!(matches!(read_events::<Note>("[{]"), Err(Unreadable::Batch(_))));
    }

    #[test]
    fn the_hash_of_a_frame_covers_every_part() {
        let target = StreamPartition::new("notes", Partition(1));
        let frame = Frame::seal(producer(), target, Seq(1), Hash::ZERO, 1, "[]".into());
        assert!(frame.is_intact());
        let changed: [fn(&mut Frame); 5] = [
            |f| f.producer.partition = Partition(1),
            |f| f.target.partition = Partition(0),
            |f| f.seq = Seq(2),
            |f| f.previous = f.hash,
            |f| f.body = "[ ]".into(),
        ];
        for change in changed {
            let mut other = frame.clone();
            change(&mut other);
            assert!(!other.is_intact(), "{other:?}");
        }
    }
}
