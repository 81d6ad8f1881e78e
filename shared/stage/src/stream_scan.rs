//! Determines which part of its producers' journals a stream already holds.
//!
//! A publisher that attaches to a stream reads it from the last noted message, if that is still there, otherwise from
//! the first, up to the marker that this attachment has just written. Frames found there need not be published again.
//! Notes may be old or lost; then more is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Frame, Producer, ResumePoint, Seq};

/// How far a stream is known to hold the journals that are published to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishPosition {
    /// The incarnation of the stream that this is about. In another incarnation, nothing else here counts.
    pub incarnation: Option<String>,
    /// A message of the stream; `None` before anything was noted.
    pub resume: Option<ResumePoint>,
    /// For each producer, its last frame that lies at or before that message together with all its earlier frames.
    pub confirmed: BTreeMap<Producer, Seq>,
    /// The producers whose journals an operator wants published again from the start.
    pub republish: BTreeSet<Producer>,
    /// How often an operator has requested that.
    pub rewinds: u64,
}

/// The frames that a scan has found in a stream so far.
#[derive(Debug)]
pub struct StreamScan {
    held: BTreeMap<Producer, Seq>,
    /// Whether the scan starts at the stream's first message and has not seen it yet.
    is_at_first: bool,
    /// Whether retention has removed the stream's beginning. Then the first frame seen of each producer counts,
    /// whatever its number.
    has_lost_its_start: bool,
}

impl StreamScan {
    /// Starts after the noted message, which is still there.
    pub fn behind(noted: &PublishPosition) -> Self {
        Self { held: noted.confirmed.clone(), is_at_first: false, has_lost_its_start: false }
    }

    /// Starts at the stream's first message.
    pub fn from_first() -> Self {
        Self { held: BTreeMap::new(), is_at_first: true, has_lost_its_start: false }
    }

    /// Processes the next message, with its frame if it carries one.
    pub fn see(&mut self, offset: u64, frame: Option<&Frame>) {
        if std::mem::take(&mut self.is_at_first) {
            self.has_lost_its_start = offset > 0;
        }
        // A damaged copy does not count.
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

    /// The last frame of a producer that the stream holds together with all earlier ones; 0 if there is none.
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

    /// Scans messages from `offset` on, each a producer's partition and a `seq`, and checks how far post/0 is held.
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
    fn only_frames_without_a_gap_before_them_count() {
        check(StreamScan::from_first(), 0, &[], 0);
        check(StreamScan::from_first(), 0, &[(0, 1), (1, 1), (0, 2), (0, 1), (0, 2), (0, 3)], 3);
        check(StreamScan::from_first(), 0, &[(0, 1), (0, 3), (0, 4)], 1);
        check(StreamScan::from_first(), 0, &[(0, 7), (0, 8)], 0);
        check(position_at(6), 9, &[(1, 1), (0, 7), (0, 8)], 8);
        check(position_at(6), 9, &[(0, 8)], 6);
        check(position_at(6), 9, &[], 6);
    }

    #[test]
    fn a_stream_without_its_beginning_counts_from_its_first_frame() {
        check(StreamScan::from_first(), 40, &[(0, 7), (0, 8)], 8);
        check(StreamScan::from_first(), 40, &[(1, 3), (0, 7), (0, 9)], 7);
    }

    #[test]
    fn damaged_copies_and_markers_do_not_count() {
        let (mut scan, mut damaged) = (StreamScan::from_first(), frame(0, 2));
        damaged.body.push(' ');
        scan.see(0, None);
        scan.see(1, Some(&frame(0, 1)));
        scan.see(2, Some(&damaged));
        scan.see(3, Some(&frame(0, 3)));
        assert_eq!(scan.held(&producer(0)), Seq(1));
    }
}
