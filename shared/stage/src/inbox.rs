//! How far a reader has read, and what it does with the next frame.
//!
//! A position is a vector: the next `seq` for each producer of each stream partition. What was seen
//! is dropped; nothing is ever applied past a hole. A broker's offsets play no part in this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Frame, Hash, Producer, Seq, StreamPartition};

/// How far a reader has read one producer of one stream partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The `seq` it has not read yet.
    pub next: Seq,
    /// The hash of the frame before that.
    pub head: Hash,
}

impl Position {
    /// Before the first frame.
    pub const START: Position = Position { next: Seq::FIRST, head: Hash::ZERO };

    /// After this frame.
    pub fn after(frame: &Frame) -> Self {
        Self { next: frame.seq.next(), head: frame.hash }
    }
}

/// How far a reader has read everything it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<(StreamPartition, Producer, Position)>", from = "Vec<(StreamPartition, Producer, Position)>")]
pub struct Positions(BTreeMap<(StreamPartition, Producer), Position>);

impl Positions {
    /// How far this producer has been read.
    pub fn of(&self, target: &StreamPartition, producer: &Producer) -> Position {
        let position = self.0.get(&(target.clone(), producer.clone()));
        position.copied().unwrap_or(Position::START)
    }

    /// Notes that a frame has been read.
    pub fn advance(&mut self, frame: &Frame) {
        self.0.insert((frame.target.clone(), frame.producer.clone()), Position::after(frame));
    }
}

impl From<Positions> for Vec<(StreamPartition, Producer, Position)> {
    fn from(positions: Positions) -> Self {
        positions.0.into_iter().map(|((target, producer), position)| (target, producer, position)).collect()
    }
}

impl From<Vec<(StreamPartition, Producer, Position)>> for Positions {
    fn from(list: Vec<(StreamPartition, Producer, Position)>) -> Self {
        Self(list.into_iter().map(|(target, producer, position)| ((target, producer), position)).collect())
    }
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Apply it.
    Next,
    /// Drop it: it has been applied.
    Duplicate,
    /// Drop it and read on: the expected one is missing and has to come again.
    Gap {
        /// The one expected.
        expected: Seq,
    },
    /// Drop it: its hash does not fit its own body. It will be missing until it comes again.
    Damaged,
    /// Stop: the producer has said something else under a `seq` before.
    Fork,
    /// Stop: nobody told this reader of such a producer. Upgrade readers first.
    UnknownProducer,
}

/// Decides about the next frame of a stream.
pub fn admit(positions: &Positions, known: &[Producer], frame: &Frame) -> Admission {
    // First, since the producer's name may be what is damaged.
    if !frame.is_intact() {
        return Admission::Damaged;
    }
    if !known.contains(&frame.producer) {
        return Admission::UnknownProducer;
    }
    let Position { next, head } = positions.of(&frame.target, &frame.producer);
    if frame.seq > next {
        Admission::Gap { expected: next }
    } else if frame.seq == next {
        if frame.previous == head { Admission::Next } else { Admission::Fork }
    } else if frame.seq.next() == next && frame.hash != head {
        Admission::Fork
    } else {
        Admission::Duplicate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;

    fn producer() -> Producer {
        Producer::new("accept", Partition(0))
    }

    fn frames(bodies: &[&str]) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        for body in bodies {
            let (seq, previous) = frames.last().map_or((Seq::FIRST, Hash::ZERO), |f| (f.seq.next(), f.hash));
            let target = StreamPartition::new("purchases", Partition(1));
            frames.push(Frame::seal(producer(), target, seq, previous, 1, (*body).to_owned()));
        }
        frames
    }

    fn check(read: &[Frame], offered: &Frame, expected: Admission) {
        let mut positions = Positions::default();
        read.iter().for_each(|frame| positions.advance(frame));
        assert_eq!(admit(&positions, &[producer()], offered), expected);
    }

    #[test]
    fn each_frame_is_applied_once_and_in_order() {
        let emitted = frames(&["a", "b", "c"]);
        check(&[], &emitted[0], Admission::Next);
        check(&emitted[..1], &emitted[0], Admission::Duplicate);
        check(&emitted[..1], &emitted[1], Admission::Next);
        check(&emitted[..3], &emitted[0], Admission::Duplicate);
    }

    #[test]
    fn nothing_is_applied_past_a_hole() {
        let emitted = frames(&["a", "b", "c"]);
        check(&emitted[..1], &emitted[2], Admission::Gap { expected: Seq(2) });
    }

    #[test]
    fn a_damaged_frame_is_not_a_fork() {
        let mut emitted = frames(&["a", "b"]);
        emitted[1].body.push(' ');
        check(&emitted[..1], &emitted[1], Admission::Damaged);
        emitted[0].producer.partition = Partition(7);
        check(&[], &emitted[0], Admission::Damaged);
    }

    #[test]
    fn another_past_is_a_fork() {
        let (ours, other) = (frames(&["a", "b"]), frames(&["x", "b"]));
        check(&ours[..1], &other[0], Admission::Fork);
        check(&ours[..1], &other[1], Admission::Fork);
    }

    #[test]
    fn only_known_producers_are_read() {
        let emitted = frames(&["a"]);
        assert_eq!(admit(&Positions::default(), &[], &emitted[0]), Admission::UnknownProducer);
    }
}
