//! The batch record: one row per commit of a stage's partition.
//!
//! Its key is the fence: two owners cannot both insert the next number. The newest record is the checkpoint, and from
//! all of them together the audit derives everything again. Each carries the hash of the previous one.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{BatchNumber, Digest, Epoch, Frame, Hash, Positions, Producer, ResumePoint, Seq, StreamPartition};

/// Consecutive frames of one producer, as read in one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRange {
    /// The stream partition they were read from.
    pub target: StreamPartition,
    /// Their producer.
    pub producer: Producer,
    /// The number of the first frame.
    pub from: Seq,
    /// The number of frames.
    pub frames: u64,
}

impl FrameRange {
    /// Groups frames, in reading order, into ranges.
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

/// The input of a batch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumed {
    /// Nothing: a new owner claimed the partition.
    Claim,
    /// Frames, in this order.
    Frames(Vec<FrameRange>),
    /// Requests: a batch of events with the versions captured for each.
    Requests(Box<RawValue>),
}

/// The last frame emitted to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFrame {
    /// Its `seq`.
    pub seq: Seq,
    /// Its hash.
    pub hash: Hash,
}

/// The point from which an owner continues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How far it has read.
    pub positions: Positions,
    /// The last frame emitted to each target.
    #[serde(with = "as_list")]
    pub last_frames: BTreeMap<StreamPartition, LastFrame>,
    /// For each broker stream, the last applied message before which nothing was missing: where to resume reading.
    /// Positions alone decide what is applied.
    #[serde(with = "as_list")]
    pub resume_points: BTreeMap<StreamPartition, ResumePoint>,
}

/// A batch record as it is stored. The JSON is kept as text, because the hash covers its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition of the stage it belongs to.
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
    /// The hash of the previous record, or [`Hash::ZERO`] for the first.
    pub previous: Hash,
    /// The hash of this one.
    pub hash: Hash,
}

impl Record {
    /// Builds the record that follows `last`.
    ///
    /// # Errors
    /// When `consumed` or `checkpoint` has no JSON form.
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

    /// Whether the hash matches the content of the record.
    pub fn is_intact(&self) -> bool {
        self.hash == self.chain()
    }

    /// The input of the batch.
    ///
    /// # Errors
    /// When the text is not a valid [`Consumed`].
    pub fn parse_consumed(&self) -> serde_json::Result<Consumed> {
        serde_json::from_str(&self.consumed)
    }

    /// The checkpoint after the batch.
    ///
    /// # Errors
    /// When the text is not a valid [`Checkpoint`].
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
    fn numbers_have_no_gaps_and_only_a_claim_raises_the_epoch() {
        let first = following(None, &Consumed::Claim);
        let second = following(Some(&first), &Consumed::Frames(Vec::new()));
        let third = following(Some(&second), &Consumed::Claim);
        let places = [&first, &second, &third].map(|record| (record.number.0, record.epoch.0));
        assert_eq!(places, [(1, 1), (2, 1), (3, 2)]);
        assert_eq!(third.previous, second.hash);
    }

    #[test]
    fn the_hash_of_a_record_covers_every_part() {
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
    fn consecutive_frames_form_one_range() {
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
