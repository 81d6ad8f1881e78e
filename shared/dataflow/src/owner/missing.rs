//! The gaps in a reader's input. Nothing is applied past a gap, and the resume point never moves past one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stage::{Frame, Positions, Producer, ResumePoint, Seq, StreamPartition};

/// A frame that never arrived, or arrived damaged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingFrame {
    /// The stream partition it belongs to.
    pub target: StreamPartition,
    /// Its producer.
    pub producer: Producer,
    /// Its number.
    pub seq: Seq,
}

impl fmt::Display for MissingFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} of {} in {}", self.seq, self.producer, self.target)
    }
}

/// The gaps of one reader.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// The producers whose next frame is missing.
    gaps: BTreeSet<(StreamPartition, Producer)>,
    /// For each stream, one message that arrived damaged once.
    damaged: BTreeMap<StreamPartition, Damaged>,
    /// For each stream, the offsets of messages that arrived damaged twice: they are damaged in the stream itself.
    at_rest: BTreeMap<StreamPartition, BTreeSet<u64>>,
}

/// A message that arrived damaged. Reading it again may find it intact. Its own fields may be wrong too.
#[derive(Debug)]
struct Damaged {
    claims: MissingFrame,
    offset: u64,
    /// Whether the stream is being read again since then. A batch that is retried from memory is no second reading.
    is_read_again: bool,
}

/// The maximum number of offsets of damaged messages that are remembered for a stream. The smallest are forgotten first:
/// the resume point has passed them, so they are read again only if the whole stream is.
const AT_REST_MAX: usize = 10_000;

impl Gaps {
    /// Records that a frame arrived before the expected one.
    pub fn gap(&mut self, frame: &Frame) {
        self.gaps.insert((frame.target.clone(), frame.producer.clone()));
    }

    /// Records that the expected frame arrived.
    pub fn closed(&mut self, frame: &Frame, place: Option<&ResumePoint>) {
        self.gaps.remove(&(frame.target.clone(), frame.producer.clone()));
        self.intact(frame, place);
    }

    /// Records that a message is intact, even if it arrived damaged before.
    pub fn intact(&mut self, frame: &Frame, place: Option<&ResumePoint>) {
        let is_it = |damaged: &Damaged| place.is_some_and(|place| place.offset == damaged.offset);
        if self.damaged.get(&frame.target).is_some_and(is_it) {
            self.damaged.remove(&frame.target);
        }
    }

    /// Records that a stream is read again from its first message.
    pub fn read_again(&mut self, target: &StreamPartition) {
        if let Some(damaged) = self.damaged.get_mut(target) {
            damaged.is_read_again = true;
        }
    }

    /// Records that a damaged frame arrived. If its own fields name an expected frame, that frame is missing.
    pub fn damaged(&mut self, frame: &Frame, place: Option<&ResumePoint>, is_expected: bool) {
        if is_expected {
            self.gap(frame);
        }
        let Some(ResumePoint { offset, .. }) = place else { return };
        if self.at_rest.get(&frame.target).is_some_and(|offsets| offsets.contains(offset)) {
            return;
        }
        match self.damaged.get(&frame.target) {
            Some(damaged) if damaged.offset == *offset && damaged.is_read_again => {
                self.damaged.remove(&frame.target);
                let offsets = self.at_rest.entry(frame.target.clone()).or_default();
                offsets.insert(*offset);
                if offsets.len() > AT_REST_MAX {
                    offsets.pop_first();
                }
            }
            // One at a time: the other is read again when this one is resolved.
            Some(_) => {}
            None => {
                let (target, producer, seq) = (frame.target.clone(), frame.producer.clone(), frame.seq);
                let claims = MissingFrame { target, producer, seq };
                let damaged = Damaged { claims, offset: *offset, is_read_again: false };
                self.damaged.insert(frame.target.clone(), damaged);
            }
        }
    }

    /// Whether a stream has a gap.
    pub fn are_in(&self, target: &StreamPartition) -> bool {
        self.gaps.iter().any(|(gap, _)| gap == target) || self.damaged.contains_key(target)
    }

    /// All missing frames of a reader at these positions.
    pub fn missing(&self, positions: &Positions) -> BTreeSet<MissingFrame> {
        let missing = |(target, producer): &(StreamPartition, Producer)| {
            let seq = positions.of(target, producer).next;
            MissingFrame { target: target.clone(), producer: producer.clone(), seq }
        };
        let damaged = self.damaged.values().map(|damaged| damaged.claims.clone());
        self.gaps.iter().map(missing).chain(damaged).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::{Hash, Partition};

    fn target() -> StreamPartition {
        StreamPartition::new("purchases", Partition(0))
    }

    /// Delivers a damaged message at an offset. Returns the number of missing frames after that.
    fn comes(gaps: &mut Gaps, offset: u64) -> usize {
        let producer = Producer::new("accept", Partition(0));
        let frame = Frame::seal(producer.clone(), target(), Seq(offset), Hash::ZERO, 1, "[]".to_owned());
        let place = ResumePoint { offset, session: "one".to_owned(), frame: Some((producer, frame.seq)) };
        gaps.damaged(&frame, Some(&place), false);
        gaps.missing(&Positions::default()).len()
    }

    #[test]
    fn messages_that_arrived_damaged_twice_are_not_read_again_however_many_there_are() {
        let mut gaps = Gaps::default();
        assert_eq!([10, 20].map(|offset| comes(&mut gaps, offset)), [1, 1]);
        // A batch that is retried delivers the same copies.
        assert_eq!([10, 20].map(|offset| comes(&mut gaps, offset)), [1, 1]);
        // The stream is read from its beginning twice, the second time for the other message.
        gaps.read_again(&target());
        assert_eq!([10, 20].map(|offset| comes(&mut gaps, offset)), [0, 1]);
        gaps.read_again(&target());
        assert_eq!([10, 20].map(|offset| comes(&mut gaps, offset)), [1, 0]);
        assert_eq!([10, 20, 10, 20].map(|offset| comes(&mut gaps, offset)), [0; 4]);
        assert!(!gaps.are_in(&target()));
        for offset in 0..2 * AT_REST_MAX as u64 {
            comes(&mut gaps, offset);
            gaps.read_again(&target());
            comes(&mut gaps, offset);
        }
        assert_eq!(gaps.at_rest[&target()].len(), AT_REST_MAX);
    }
}
