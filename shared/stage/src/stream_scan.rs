//! What a stream already holds of the journals that are published to it.
//!
//! Whoever attaches to a stream reads it from the last message that was noted, if that is still there, else
//! from its first, up to the marker that this attachment has just written. What is found need not be
//! published again. Notes may be old or lost: then more is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Frame, Producer, ResumePoint, Seq};

/// How far a stream is known to hold the journals that are published to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishPosition {
    /// A message of the stream; `None` before anything was noted.
    pub resume: Option<ResumePoint>,
    /// For each producer its last frame that lies, with all before it, at or before that message.
    pub confirmed: BTreeMap<Producer, Seq>,
    /// Whose journals an operator wants published again from the start.
    pub republish: BTreeSet<Producer>,
    /// How often an operator has asked for that.
    pub rewinds: u64,
}

/// What a stream was found to hold so far.
#[derive(Debug)]
pub struct StreamScan {
    held: BTreeMap<Producer, Seq>,
    /// Whether the scan begins at the stream's first message, and nothing was seen yet.
    is_at_first: bool,
    /// Retention has removed the stream's beginning: the first frame of each producer is taken as it comes.
    has_lost_its_start: bool,
}

impl StreamScan {
    /// Begins behind the noted message, which is still there.
    pub fn behind(noted: &PublishPosition) -> Self {
        Self { held: noted.confirmed.clone(), is_at_first: false, has_lost_its_start: false }
    }

    /// Begins at the stream's first message.
    pub fn from_first() -> Self {
        Self { held: BTreeMap::new(), is_at_first: true, has_lost_its_start: false }
    }

    /// Takes in the next message, with the frame in it if there is one.
    pub fn see(&mut self, offset: u64, frame: Option<&Frame>) {
        if std::mem::take(&mut self.is_at_first) {
            self.has_lost_its_start = offset > 0;
        }
        // A damaged copy is none.
        let Some(frame) = frame.filter(|frame| frame.is_intact()) else { return };
        let held = self.held.get(&frame.producer).copied();
        let is_next = match held {
            None => frame.seq == Seq::FIRST || self.has_lost_its_start,
            Some(held) => frame.seq == held.next(),
        };
        if is_next {
            self.held.insert(frame.producer.clone(), frame.seq);
        }
    }

    /// The last frame of a producer that the stream holds with all before it; 0: none.
    pub fn held(&self, producer: &Producer) -> Seq {
        self.held.get(producer).copied().unwrap_or(Seq(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hash, Partition, StreamPartition};

    fn producer(partition: u16) -> Producer {
        Producer::new("post", Partition(partition))
    }

    fn frame(partition: u16, seq: u64) -> Frame {
        let target = StreamPartition::new("credits", Partition(0));
        Frame::seal(producer(partition), target, Seq(seq), Hash::ZERO, 1, "[]".to_owned())
    }

    /// After messages from `offset` on, each a producer's partition and a `seq`, how far post/0 is held.
    fn check(mut scan: StreamScan, offset: u64, messages: &[(u16, u64)], expected: u64) {
        for (offset, (partition, seq)) in (offset..).zip(messages) {
            scan.see(offset, Some(&frame(*partition, *seq)));
        }
        assert_eq!(scan.held(&producer(0)), Seq(expected), "{messages:?}");
    }

    fn position_at(seq: u64) -> StreamScan {
        let confirmed = [(producer(0), Seq(seq))].into();
        StreamScan::behind(&PublishPosition { confirmed, ..PublishPosition::default() })
    }

    #[test]
    fn only_frames_without_a_hole_before_them_count() {
        check(StreamScan::from_first(), 0, &[], 0);
        check(StreamScan::from_first(), 0, &[(0, 1), (1, 1), (0, 2), (0, 1), (0, 2), (0, 3)], 3);
        check(StreamScan::from_first(), 0, &[(0, 1), (0, 3), (0, 4)], 1);
        check(StreamScan::from_first(), 0, &[(0, 7), (0, 8)], 0);
        check(position_at(6), 9, &[(1, 1), (0, 7), (0, 8)], 8);
        check(position_at(6), 9, &[(0, 8)], 6);
        check(position_at(6), 9, &[], 6);
    }

    #[test]
    fn a_stream_without_its_beginning_counts_from_what_is_left() {
        check(StreamScan::from_first(), 40, &[(0, 7), (0, 8)], 8);
        check(StreamScan::from_first(), 40, &[(1, 3), (0, 7), (0, 9)], 7);
    }

    #[test]
    fn a_damaged_copy_does_not_count_and_a_marker_is_no_frame() {
        let (mut scan, mut damaged) = (StreamScan::from_first(), frame(0, 2));
        damaged.body.push(' ');
        scan.see(0, None);
        scan.see(1, Some(&frame(0, 1)));
        scan.see(2, Some(&damaged));
        scan.see(3, Some(&frame(0, 3)));
        assert_eq!(scan.held(&producer(0)), Seq(1));
    }
}
