//! The batch record: one row per commit of a stage's partition.
//!
//! Its key is the fence (two owners cannot both insert the next number), the newest is the
//! checkpoint, and all of them together are what the audit derives everything from again. Each
//! carries the hash of the one before.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{BatchNumber, Digest, Epoch, Frame, Hash, Positions, Producer, ResumePoint, Seq, StreamPartition};

/// Consecutive frames of one producer, as read in one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRange {
    /// From where.
    pub target: StreamPartition,
    /// From whom.
    pub producer: Producer,
    /// The first.
    pub from: Seq,
    /// How many.
    pub frames: u64,
}

impl FrameRange {
    /// Frames in the order they were read, as ranges.
    pub fn of<'a>(frames: impl Iterator<Item = &'a Frame>) -> Vec<FrameRange> {
        let mut ranges: Vec<FrameRange> = Vec::new();
        for frame in frames {
            match ranges.last_mut() {
                Some(run)
                    if run.target == frame.target
                        && run.producer == frame.producer
                        && run.from.0 + run.frames == frame.seq.0 =>
                {
                    run.frames += 1;
                }
                _ => ranges.push(FrameRange {
                    target: frame.target.clone(),
                    producer: frame.producer.clone(),
                    from: frame.seq,
                    frames: 1,
                }),
            }
        }
        ranges
    }
}

/// What a batch read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumed {
    /// Nothing: a new owner took over.
    Claim,
    /// Frames, in this order.
    Frames(Vec<FrameRange>),
    /// Requests: a batch of events with the versions each was judged by.
    Requests(Box<RawValue>),
}

/// The last frame said to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFrame {
    /// Its `seq`.
    pub seq: Seq,
    /// Its hash.
    pub hash: Hash,
}

/// Where an owner goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How far it has read.
    pub positions: Positions,
    /// How far it has said.
    #[serde(with = "as_list")]
    pub last_frames: BTreeMap<StreamPartition, LastFrame>,
    /// Of each broker's stream the last message that was applied, and nothing was missing before it: where to go
    /// on reading. Positions alone decide what is applied.
    #[serde(with = "as_list")]
    pub resume_points: BTreeMap<StreamPartition, ResumePoint>,
}

/// A batch record as it is stored. The texts are kept as they are: the hash is over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub owner: Producer,
    /// Its number: 1, 2, 3 …
    pub number: BatchNumber,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// [`Consumed`] as JSON.
    pub consumed: String,
    /// [`Checkpoint`] as JSON.
    pub checkpoint: String,
    /// When it was committed, by the owner's clock, RFC 3339.
    pub committed_at: String,
    /// The hash of the record before, [`Hash::ZERO`] before the first.
    pub previous: Hash,
    /// The hash of this one.
    pub hash: Hash,
}

impl Record {
    /// The record that follows `last`.
    ///
    /// # Errors
    /// When what it holds has no JSON form.
    pub fn following(
        last: Option<&Record>,
        owner: &Producer,
        consumed: &Consumed,
        checkpoint: &Checkpoint,
        committed_at: DateTime<Utc>,
    ) -> serde_json::Result<Record> {
        let epoch = last.map_or(Epoch(0), |last| last.epoch);
        let mut record = Record {
            owner: owner.clone(),
            number: last.map_or(BatchNumber(0), |last| last.number).next(),
            epoch: if matches!(consumed, Consumed::Claim) { epoch.next() } else { epoch },
            consumed: serde_json::to_string(consumed)?,
            checkpoint: serde_json::to_string(checkpoint)?,
            committed_at: committed_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            previous: last.map_or(Hash::ZERO, |last| last.hash),
            hash: Hash::ZERO,
        };
        record.hash = record.chain();
        Ok(record)
    }

    /// Whether the hash fits what the record holds.
    pub fn is_intact(&self) -> bool {
        self.hash == self.chain()
    }

    /// What was read.
    ///
    /// # Errors
    /// When the text is none of [`Consumed`].
    pub fn parse_consumed(&self) -> serde_json::Result<Consumed> {
        serde_json::from_str(&self.consumed)
    }

    /// Where to go on.
    ///
    /// # Errors
    /// When the text is no [`Checkpoint`].
    pub fn parse_checkpoint(&self) -> serde_json::Result<Checkpoint> {
        serde_json::from_str(&self.checkpoint)
    }

    fn chain(&self) -> Hash {
        Digest::default()
            .part(self.owner.to_string().as_bytes())
            .part(&self.number.0.to_be_bytes())
            .part(&self.epoch.0.to_be_bytes())
            .part(self.consumed.as_bytes())
            .part(self.checkpoint.as_bytes())
            .part(self.committed_at.as_bytes())
            .part(&self.previous.0)
            .finish()
    }
}

mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;

    fn following(last: Option<&Record>, consumed: &Consumed) -> Record {
        let owner = Producer::new("post", Partition(0));
        Record::following(last, &owner, consumed, &Checkpoint::default(), DateTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn numbers_are_dense_and_only_claims_raise_the_epoch() {
        let first = following(None, &Consumed::Claim);
        let second = following(Some(&first), &Consumed::Frames(Vec::new()));
        let third = following(Some(&second), &Consumed::Claim);
        let places = [&first, &second, &third].map(|record| (record.number.0, record.epoch.0));
        assert_eq!(places, [(1, 1), (2, 1), (3, 2)]);
        assert_eq!(third.previous, second.hash);
    }

    #[test]
    fn every_part_of_a_record_is_under_its_hash() {
        let record = following(None, &Consumed::Claim);
        let changed: [fn(&mut Record); 7] = [
            |r| r.owner.partition = Partition(1),
            |r| r.number = r.number.next(),
            |r| r.epoch = r.epoch.next(),
            |r| r.consumed.push(' '),
            |r| r.checkpoint.push(' '),
            |r| r.committed_at.push('0'),
            |r| r.previous = r.hash,
        ];
        assert!(record.is_intact());
        for change in changed {
            let mut other = record.clone();
            change(&mut other);
            assert!(!other.is_intact(), "{other:?}");
        }
    }

    #[test]
    fn consecutive_frames_are_one_run() {
        let frame = |partition, seq| {
            let producer = Producer::new("accept", Partition(partition));
            Frame::seal(
                producer,
                StreamPartition::new("purchases", Partition(0)),
                Seq(seq),
                Hash::ZERO,
                0,
                String::new(),
            )
        };
        let frames = [frame(0, 5), frame(0, 6), frame(1, 7), frame(0, 7)];
        let ranges: Vec<_> = FrameRange::of(frames.iter()).into_iter().map(|run| (run.from.0, run.frames)).collect();
        assert_eq!(ranges, [(5, 2), (7, 1), (7, 1)]);
    }
}
