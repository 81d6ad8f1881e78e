//! A fact in its envelope: id, time, request, trace, key.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Digest, Hash, Producer, Seq, StreamPartition};

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The id of a fact: `producer>target#seq.index`. Deriving the fact again gives the same id.
    EventId
);
text!(
    /// The client's own id for a request, which makes a retry safe (the end-to-end argument).
    RequestId
);
text!(
    /// The text that determines the partition: an account id or a SKU.
    Key
);
text!(
    /// W3C trace context of one step: `00-<trace>-<span>-<flags>`.
    Traceparent
);

impl EventId {
    /// The id of the fact at `index` in the frame `seq`.
    pub fn of(producer: &Producer, target: &StreamPartition, seq: Seq, index: usize) -> Self {
        Self(format!("{producer}>{target}#{seq}.{index}"))
    }
}

impl Traceparent {
    /// The next step of the same trace. Its span id is a hash of the event's id.
    #[must_use]
    pub fn step(&self, id: &EventId) -> Self {
        self.at(&Digest::default().part(id.0.as_bytes()).finish())
    }

    /// The step in which `owner` applies the event with this id that arrived with this step. No fact carries it,
    /// because anyone who knows the fact can derive it.
    #[must_use]
    pub fn applied(&self, owner: &Producer, id: &EventId) -> Self {
        let parts = Digest::default().part(owner.to_string().as_bytes()).part(id.0.as_bytes());
        self.at(&parts.part(self.0.as_bytes()).finish())
    }

    /// Whether the trace is recorded. Only the lowest bit of the flags is checked.
    pub fn is_sampled(&self) -> bool {
        matches!(self.0.as_bytes().last(), Some(b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'))
    }

    fn at(&self, hash: &Hash) -> Self {
        let span = hash.short::<8>();
        let mut parts = self.0.splitn(4, '-');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(version), Some(trace), Some(_), Some(flags)) => Self(format!("{version}-{trace}-{span}-{flags}")),
            _ => self.clone(),
        }
    }
}

/// The context that a fact inherits from the original request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// When the request arrived. For a purchase without a time of its own, this is also the event time.
    pub time: DateTime<Utc>,
    /// The request.
    pub request_id: RequestId,
    /// The trace step that led to the fact.
    pub traceparent: Traceparent,
}

/// A fact with its context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<F> {
    /// Its id, the same each time it is derived.
    pub id: EventId,
    /// The context of the original request.
    pub cause: Cause,
    /// The key that determined its partition.
    pub key: Key,
    /// What happened.
    pub fact: F,
}

/// An unknown type tag, or content that does not match its tag.
#[derive(Debug, thiserror::Error)]
pub enum UnknownPayload {
    /// Emitted by a newer producer: upgrade the reader first.
    #[error("unknown fact type {0:?}: upgrade this reader before its producers")]
    Type(String),
    /// The tag is known, but the content does not match it.
    #[error("the content of a {kind} is invalid")]
    Content {
        /// The tag.
        kind: String,
        /// The JSON error, with its position.
        #[source]
        source: serde_json::Error,
    },
}

/// A set of message types that an event can carry. Each has a type tag and exactly one JSON form.
pub trait Payload: Clone + Send + Unpin + 'static {
    /// All type tags.
    const KINDS: &'static [&'static str];
    /// Whether a message with any other tag is accepted, without its content. Otherwise such a message stops its
    /// reader.
    const ACCEPTS_OTHERS: bool = false;

    /// The type tag, written as the `CloudEvents` type.
    fn kind(&self) -> &'static str;

    /// The content as compact JSON, the same bytes each time.
    ///
    /// # Errors
    /// When the content has no JSON form.
    fn to_data(&self) -> serde_json::Result<Box<RawValue>>;

    /// The message with this tag and content.
    ///
    /// # Errors
    /// [`UnknownPayload`] when the tag is unknown or the content does not match it.
    fn from_data(kind: &str, data: &RawValue) -> Result<Self, UnknownPayload>;
}

/// Declares an enum of messages as a [`Payload`]. Each variant has the name of the struct it holds.
///
/// A reader that needs only some of the facts of its streams ends the enum with `.. Other`. All other facts then become
/// `Other(kind)`.
#[macro_export]
macro_rules! payload {
    (
        $(#[$doc:meta])* $vis:vis enum $name:ident {
            $($(#[$variant_doc:meta])* $variant:ident($content:ty),)+
            .. $other:ident $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$variant_doc])* $variant($content),)+
            /// Any other message, with its type tag.
            $other(String)
        }

        impl $crate::Payload for $name {
            const KINDS: &'static [&'static str] = &[$(stringify!($variant)),+];
            const ACCEPTS_OTHERS: bool = true;

            fn kind(&self) -> &'static str {
                match self { $($name::$variant(_) => stringify!($variant),)+ $name::$other(_) => stringify!($other) }
            }

            fn to_data(&self) -> serde_json::Result<Box<serde_json::value::RawValue>> {
                match self {
                    $($name::$variant(content) => serde_json::value::to_raw_value(content),)+
                    $name::$other(kind) => {
                        Err(serde::ser::Error::custom(format!("the content of {kind} was not read")))
                    }
                }
            }

            fn from_data(kind: &str, data: &serde_json::value::RawValue) -> Result<Self, $crate::UnknownPayload> {
                match kind {
                    $(stringify!($variant) => serde_json::from_str(data.get()).map($name::$variant),)+
                    _ => return Ok($name::$other(kind.to_owned())),
                }
                .map_err(|source| $crate::UnknownPayload::Content { kind: kind.to_owned(), source })
            }
        }
    };
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident($content:ty)),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$variant_doc])* $variant($content)),+ }

        impl $crate::Payload for $name {
            const KINDS: &'static [&'static str] = &[$(stringify!($variant)),+];

            fn kind(&self) -> &'static str {
                match self { $($name::$variant(_) => stringify!($variant)),+ }
            }

            fn to_data(&self) -> serde_json::Result<Box<serde_json::value::RawValue>> {
                match self { $($name::$variant(content) => serde_json::value::to_raw_value(content)),+ }
            }

            fn from_data(kind: &str, data: &serde_json::value::RawValue) -> Result<Self, $crate::UnknownPayload> {
                match kind {
                    $(stringify!($variant) => serde_json::from_str(data.get()).map($name::$variant),)+
                    _ => return Err($crate::UnknownPayload::Type(kind.to_owned())),
                }
                .map_err(|source| $crate::UnknownPayload::Content { kind: kind.to_owned(), source })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_keeps_the_trace_and_has_a_new_span() {
        let first = Traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
        let id = EventId("accept/0>purchases/1#1.0".into());
        let next = first.step(&id);
        assert_ne!(first, next);
        assert_eq!(next, first.step(&id));
        assert!(next.0.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && next.0.ends_with("-01"));
    }

    #[test]
    fn each_owner_that_applies_an_event_has_its_own_step() {
        let came_by = Traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
        let id = EventId("accept/0>purchases/1#1.0".into());
        let applied = |producer: &str, by: &Traceparent| by.applied(&producer.parse().unwrap(), &id);
        let step = applied("post/1", &came_by);
        assert_eq!(step, applied("post/1", &came_by));
        let others = [applied("post/0", &came_by), applied("post/1", &came_by.step(&id)), came_by.step(&id)];
        assert!(!others.contains(&step));
        assert!(step.0.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    }

    #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Added {
        by: u64,
    }

    crate::payload! {
        enum Some {
            Added(Added),
            .. Other
        }
    }

    #[test]
    fn a_reader_that_accepts_other_facts_reads_only_their_kind() {
        let data = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        assert_eq!(Some::from_data("Added", &data(r#"{"by":2}"#)).unwrap(), Some::Added(Added { by: 2 }));
        let other = Some::from_data("Removed", &data("[]")).unwrap();
        assert_eq!((&other, other.kind()), (&Some::Other("Removed".to_owned()), "Other"));
        assert!(other.to_data().is_err() && Some::ACCEPTS_OTHERS);
        assert!(matches!(Some::from_data("Added", &data("[]")), Err(UnknownPayload::Content { .. })));
    }

    #[test]
    fn only_the_lowest_bit_of_the_flags_marks_a_recorded_trace() {
        let is_sampled = |flags: &str| Traceparent(format!("00-1-2-{flags}")).is_sampled();
        assert_eq!(["01", "03", "0b", "ff"].map(is_sampled), [true; 4]);
        assert_eq!(["00", "02", "10", "0a", "1e"].map(is_sampled), [false; 5]);
        assert!(!Traceparent(String::new()).is_sampled());
    }
}
