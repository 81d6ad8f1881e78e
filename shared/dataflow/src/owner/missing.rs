//! The holes in what a reader has read. Nothing is applied past one, and where to go on reading never moves past one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stage::{Frame, Positions, Producer, ResumePoint, Seq, Target};

/// A frame that did not come, or came damaged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Where it should be.
    pub target: Target,
    /// Whose it is.
    pub producer: Producer,
    /// Which.
    pub seq: Seq,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} of {} in {}", self.seq, self.producer, self.target)
    }
}

/// The holes of one reader.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Whose next frame did not come.
    gaps: BTreeSet<(Target, Producer)>,
    /// In each stream the damaged message that was seen last.
    damaged: BTreeMap<Target, Damaged>,
}

/// A message that came damaged: what it says of itself may be wrong too.
#[derive(Debug)]
struct Damaged {
    claims: Missing,
    offset: u64,
    /// It came damaged twice, so it is the stream that holds it like this. Else another look may find it intact.
    is_at_rest: bool,
}

impl Holes {
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
        match self.damaged.get_mut(&frame.target) {
            Some(damaged) if damaged.offset == *offset => damaged.is_at_rest = true,
            // One at a time: the other is met again when this one is.
            Some(damaged) if !damaged.is_at_rest => {}
            Some(_) | None => {
                let (target, producer, seq) = (frame.target.clone(), frame.producer.clone(), frame.seq);
                let claims = Missing { target, producer, seq };
                let damaged = Damaged { claims, offset: *offset, is_at_rest: false };
                self.damaged.insert(frame.target.clone(), damaged);
            }
        }
    }

    /// Whether a stream has a hole.
    pub fn are_in(&self, target: &Target) -> bool {
        self.gaps.iter().any(|(gap, _)| gap == target) || self.damaged.get(target).is_some_and(|it| !it.is_at_rest)
    }

    /// All of them, for a reader that is so far.
    pub fn missing(&self, positions: &Positions) -> BTreeSet<Missing> {
        let missing = |(target, producer): &(Target, Producer)| {
            let seq = positions.of(target, producer).next;
            Missing { target: target.clone(), producer: producer.clone(), seq }
        };
        let damaged = self.damaged.values().filter(|damaged| !damaged.is_at_rest);
        self.gaps.iter().map(missing).chain(damaged.map(|damaged| damaged.claims.clone())).collect()
    }
}
