//! Names and numbers: stages, partitions, producers, streams, sequence numbers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// One partition of a stage or a stream, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition(pub u16);

/// The number of partitions of every stream. Fixed when the streams are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// `None` for 0 and for more than 64: each partition is a stream, and an owner with its own thread.
    pub fn new(count: u16) -> Option<Self> {
        (1..=64).contains(&count).then_some(Self(count))
    }

    /// The count, 1..=64.
    pub fn get(self) -> u16 {
        self.0
    }

    /// All partitions, in order.
    pub fn all(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition)
    }
}

/// The partition of a key: the first 64 bits of the SHA-256 of the key, modulo the count. It is the same for every
/// stream, so that equal keys meet.
pub fn partition_of(key: &str, count: PartitionCount) -> Partition {
    let hash = Digest::default().part(key.as_bytes()).finish().leading_u64();
    let partition = hash % u64::from(count.0);
    Partition(u16::try_from(partition).unwrap_or_default())
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// The next number.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The number of a frame among the frames of one producer for one target: 1, 2, 3 …, without gaps.
    Seq
);
number!(
    /// The number of a batch among the batches of one partition of a stage: 1, 2, 3 …, without gaps.
    BatchNumber
);
number!(
    /// The number of times a partition of a stage has been claimed. Grows with every new owner.
    Epoch
);

impl Seq {
    /// The first frame of a producer for a target.
    pub const FIRST: Seq = Seq(1);
}

/// A text that is not of the form `name/partition`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form name/partition")]
pub struct NotNamePartition(String);

macro_rules! name_and_partition {
    ($(#[$doc:meta])* $type:ident { $(#[$field_doc:meta])* $field:ident }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $type {
            $(#[$field_doc])*
            pub $field: Cow<'static, str>,
            /// The partition.
            pub partition: Partition,
        }

        impl $type {
            /// The given partition of the given name.
            pub const fn new($field: &'static str, partition: Partition) -> Self {
                Self { $field: Cow::Borrowed($field), partition }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.$field, self.partition.0)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl FromStr for $type {
            type Err = NotNamePartition;

            fn from_str(text: &str) -> Result<Self, NotNamePartition> {
                let parts = text.split_once('/').and_then(|(name, partition)| {
                    let partition = partition.parse().ok().map(Partition)?;
                    Some(Self { $field: Cow::Owned(name.to_owned()), partition })
                });
                parts.filter(|parsed| parsed.to_string() == text)
                    .ok_or_else(|| NotNamePartition(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = NotNamePartition;

            fn try_from(text: String) -> Result<Self, NotNamePartition> {
                text.parse()
            }
        }
    };
}

name_and_partition!(
    /// The source of facts: one partition of a stage, never a process. Written `post/1`.
    Producer {
        /// The stage's name.
        stage
    }
);
name_and_partition!(
    /// The destination of facts: one partition of a stream. Written `purchases/1`.
    StreamPartition {
        /// The stream's name.
        stream
    }
);

/// How a stage is divided into partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// An ingress stage: one partition per instance of the service; partition 0 while there is only one instance.
    Unkeyed,
    /// One owner for each partition of the streams that the stage reads.
    Copartitioned,
    /// A single owner, for the partition of this key.
    SingleKey(&'static str),
}

impl Partitioning {
    /// The partitions of a stage with this partitioning.
    pub fn partitions(self, count: PartitionCount) -> Vec<Partition> {
        match self {
            Partitioning::Unkeyed => vec![Partition(0)],
            Partitioning::Copartitioned => count.all().collect(),
            Partitioning::SingleKey(key) => vec![partition_of(key, count)],
        }
    }
}

/// The partitions of a stage that emit to one partition of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producers {
    /// All partitions of a stage with this partitioning: its facts have other keys than their causes.
    All(Partitioning),
    /// The partition with the same number: each fact has the key of its cause.
    SamePartition,
}

impl Producers {
    /// The partitions that emit to this partition of the stream.
    pub fn of(self, partition: Partition, count: PartitionCount) -> Vec<Partition> {
        match self {
            Producers::All(partitioning) => partitioning.partitions(count),
            Producers::SamePartition => vec![partition],
        }
    }
}

/// A stream, with the only stages that emit facts to it and the only kinds of facts they emit.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name, part of every message.
    pub name: &'static str,
    /// The one service whose stages produce it.
    pub service: &'static str,
    /// The stages that produce it.
    pub producers: &'static [(&'static str, Producers)],
    /// The types of the facts in it. Every reader must know them all, because it stops at any other.
    pub facts: &'static [&'static str],
}

impl Stream {
    /// One partition of this stream.
    pub const fn target(&self, partition: Partition) -> StreamPartition {
        StreamPartition::new(self.name, partition)
    }

    /// Every producer of one partition of this stream.
    pub fn known_producers(&self, partition: Partition, count: PartitionCount) -> Vec<Producer> {
        let of_stage = |(stage, producers): &(&'static str, Producers)| {
            let stage = *stage;
            producers.of(partition, count).into_iter().map(move |partition| Producer::new(stage, partition))
        };
        self.producers.iter().flat_map(of_stage).collect()
    }

    /// Whether a producer may emit to this partition of the stream.
    pub fn is_emitted_by(&self, producer: &Producer, partition: Partition) -> bool {
        let is_declared = |(stage, producers): &(&'static str, Producers)| {
            *stage == producer.stage
                && match producers {
                    Producers::All(_) => true,
                    Producers::SamePartition => producer.partition == partition,
                }
        };
        self.producers.iter().any(is_declared)
    }

    /// Every journal that is published to this stream: its producer and the target partition.
    pub fn journals(&self, count: PartitionCount) -> impl Iterator<Item = (Producer, StreamPartition)> {
        let of = move |partition| {
            let producers = self.known_producers(partition, count);
            producers.into_iter().map(move |producer| (producer, self.target(partition)))
        };
        count.all().flat_map(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_of_a_key_never_changes() {
        let eight = PartitionCount::new(8).unwrap();
        let of = |key| partition_of(key, eight).0;
        assert_eq!([of("customer:17850"), of("merchant"), of("fx"), of("rates")], [7, 7, 6, 6]);
    }

    #[test]
    fn each_partition_of_a_stream_has_its_producers() {
        let (count, one) = (PartitionCount::new(2).unwrap(), Partition(1));
        let producers: &[_] =
            &[("post", Producers::SamePartition), ("fee", Producers::All(Partitioning::Copartitioned))];
        let stream = Stream { name: "outcomes", service: "ledger", producers, facts: &[] };
        let producer = |stage, partition| Producer::new(stage, Partition(partition));
        let known = [producer("post", 1), producer("fee", 0), producer("fee", 1)];
        assert_eq!(stream.known_producers(one, count), known);
        assert!(known.iter().all(|producer| stream.is_emitted_by(producer, one)));
        assert!(!stream.is_emitted_by(&producer("post", 0), one) && !stream.is_emitted_by(&producer("rate", 1), one));
        assert_eq!(stream.journals(count).count(), 6);
    }

    #[test]
    fn only_canonical_names_are_parsed() {
        let producer = Producer::new("post", Partition(1));
        assert_eq!("post/1".parse(), Ok(producer));
        for wrong in ["post", "post/", "post/01", "post/-1", "post/70000"] {
            assert!(wrong.parse::<Producer>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_number_of_partitions_is_between_1_and_64() {
        assert_eq!(PartitionCount::new(0), None);
        assert_eq!(PartitionCount::new(65), None);
    }
}
