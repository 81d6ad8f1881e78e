//! The read positions of a reader, and the decision about its next frame.
//!
//! A position is a vector: the next `seq` for each producer of each stream partition. Frames that were read before are
//! dropped, and nothing is ever applied past a gap. A broker's offsets play no part in this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Frame, Hash, Producer, Seq, StreamPartition};

/// How far a reader has read one producer of one stream partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The next `seq` to read.
    pub next: Seq,
    /// The hash of the frame before it.
    pub previous: Hash,
}

impl Position {
    /// Before the first frame.
    pub const START: Position = Position { next: Seq::FIRST, previous: Hash::ZERO };

    /// After this frame.
    pub fn after(frame: &Frame) -> Self {
        Self { next: frame.seq.next(), previous: frame.hash }
    }
}

/// The read positions in all inputs of a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<(StreamPartition, Producer, Position)>", from = "Vec<(StreamPartition, Producer, Position)>")]
pub struct Positions(BTreeMap<(StreamPartition, Producer), Position>);

impl Positions {
    /// The position in the frames of this producer.
    pub fn of(&self, target: &StreamPartition, producer: &Producer) -> Position {
        let position = self.0.get(&(target.clone(), producer.clone()));
        position.copied().unwrap_or(Position::START)
    }

    /// Records that a frame has been read.
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

/// The decision about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Apply it.
    Next,
    /// Drop it: it has already been applied.
    Duplicate,
    /// Drop it and read on: the expected frame is missing and has to arrive again.
    Gap {
        /// The missing frame.
        expected: Seq,
    },
    /// Drop it: its hash does not match its content. The frame is missing until it arrives again.
    Damaged,
    /// Stop: the producer has published different content under the same `seq` before.
    Fork,
    /// Stop: this reader does not know the producer. Upgrade readers before producers.
    UnknownProducer,
}

/// Decides what to do with the next frame of a stream.
pub fn admit(positions: &Positions, known: &[Producer], frame: &Frame) -> Admission {
    // Checked first, since the producer's name may be the damaged part.
    if !frame.is_intact() {
        return Admission::Damaged;
    }
    if !known.contains(&frame.producer) {
        return Admission::UnknownProducer;
    }
    let Position { next, previous } = positions.of(&frame.target, &frame.producer);
    if frame.seq > next {
        Admission::Gap { expected: next }
    } else if frame.seq == next {
        if frame.previous == previous { Admission::Next } else { Admission::Fork }
    } else if frame.seq.next() == next && frame.hash != previous {
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
    fn nothing_is_applied_past_a_gap() {
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
    fn a_different_history_is_a_fork() {
        let (ours, other) = (frames(&["a", "b"]), frames(&["x", "b"]));
        check(&ours[..1], &other[0], Admission::Fork);
        check(&ours[..1], &other[1], Admission::Fork);
    }

    #[test]
    fn a_frame_of_an_unknown_producer_is_rejected() {
        let emitted = frames(&["a"]);
        assert_eq!(admit(&Positions::default(), &[], &emitted[0]), Admission::UnknownProducer);
    }
}
