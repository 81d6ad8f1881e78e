//! The holes in what a reader has read. Nothing is applied past one, and where to go on reading never moves past one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stage::{Frame, Positions, Producer, ResumePoint, Seq, StreamPartition};

/// A frame that did not come, or came damaged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingFrame {
    /// Where it should be.
    pub target: StreamPartition,
    /// Whose it is.
    pub producer: Producer,
    /// Which.
    pub seq: Seq,
}

impl fmt::Display for MissingFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} of {} in {}", self.seq, self.producer, self.target)
    }
}

/// The holes of one reader.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Whose next frame did not come.
    gaps: BTreeSet<(StreamPartition, Producer)>,
    /// In each stream a message that came damaged once.
    damaged: BTreeMap<StreamPartition, Damaged>,
    /// Where in each stream messages came damaged twice: the stream holds them like this.
    at_rest: BTreeMap<StreamPartition, BTreeSet<u64>>,
}

/// A message that came damaged: another look may find it intact. What it says of itself may be wrong too.
#[derive(Debug)]
struct Damaged {
    claims: MissingFrame,
    offset: u64,
}

impl Gaps {
    /// Frames behind the expected one came.
    pub fn gap(&mut self, frame: &Frame) {
        self.gaps.insert((frame.target.clone(), frame.producer.clone()));
    }

    /// The expected frame came.
    pub fn closed(&mut self, frame: &Frame, place: Option<&ResumePoint>) {
        self.gaps.remove(&(frame.target.clone(), frame.producer.clone()));
        self.intact(frame, place);
    }

    /// A message is intact: also one that came damaged before.
    pub fn intact(&mut self, frame: &Frame, place: Option<&ResumePoint>) {
        let is_it = |damaged: &Damaged| place.is_some_and(|place| place.offset == damaged.offset);
        if self.damaged.get(&frame.target).is_some_and(is_it) {
            self.damaged.remove(&frame.target);
        }
    }

    /// A damaged frame came. If what it says of itself is an expected frame, that one is missing.
    pub fn damaged(&mut self, frame: &Frame, place: Option<&ResumePoint>, is_expected: bool) {
        if is_expected {
            self.gap(frame);
        }
        let Some(ResumePoint { offset, .. }) = place else { return };
        if self.at_rest.get(&frame.target).is_some_and(|offsets| offsets.contains(offset)) {
            return;
        }
        match self.damaged.get(&frame.target) {
            Some(damaged) if damaged.offset == *offset => {
                self.damaged.remove(&frame.target);
                self.at_rest.entry(frame.target.clone()).or_default().insert(*offset);
            }
            // One at a time: the other is met again when this one is.
            Some(_) => {}
            None => {
                let (target, producer, seq) = (frame.target.clone(), frame.producer.clone(), frame.seq);
                let damaged = Damaged { claims: MissingFrame { target, producer, seq }, offset: *offset };
                self.damaged.insert(frame.target.clone(), damaged);
            }
        }
    }

    /// Whether a stream has a hole.
    pub fn are_in(&self, target: &StreamPartition) -> bool {
        self.gaps.iter().any(|(gap, _)| gap == target) || self.damaged.contains_key(target)
    }

    /// All of them, for a reader that is so far.
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

    /// A damaged message at a place comes; how many frames are missing then.
    fn comes(gaps: &mut Gaps, offset: u64) -> usize {
        let producer = Producer::new("accept", Partition(0));
        let frame = Frame::seal(producer.clone(), target(), Seq(offset), Hash::ZERO, 1, "[]".to_owned());
        let place = ResumePoint { offset, session: "one".to_owned(), frame: Some((producer, frame.seq)) };
        gaps.damaged(&frame, Some(&place), false);
        gaps.missing(&Positions::default()).len()
    }

    #[test]
    fn what_came_damaged_twice_at_its_place_is_not_looked_for_again_however_many_there_are() {
        let mut gaps = Gaps::default();
        assert_eq!([10, 20].map(|offset| comes(&mut gaps, offset)), [1, 1]);
        // The stream is read from its beginning, and once more for the other one.
        assert_eq!([10, 20].map(|offset| comes(&mut gaps, offset)), [0, 1]);
        assert_eq!([10, 20].map(|offset| comes(&mut gaps, offset)), [1, 0]);
        assert_eq!([10, 20, 10, 20].map(|offset| comes(&mut gaps, offset)), [0; 4]);
        assert!(!gaps.are_in(&target()));
    }
}
