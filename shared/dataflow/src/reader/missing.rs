//! Recovery of missing frames: the reader reports them, and repeatedly reads the stream from its first message.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stage::StreamPartition;

use crate::MissingFrame;

/// The delay before the first attempt to read a missing frame again. A frame that is only late needs no attempt: after the
/// broker refuses frames, some arrive once more, in order.
const LATE: Duration = Duration::from_secs(1);
/// The pause between the first and second attempt. It doubles from there.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// The longest pause. Reading a long stream takes minutes.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// The missing frames of one reader, and the time of the next attempt to read them.
#[derive(Debug)]
pub(super) struct GapRecovery {
    missing: BTreeSet<MissingFrame>,
    due: Option<Instant>,
    pause: Duration,
}

impl Default for GapRecovery {
    fn default() -> Self {
        Self { missing: BTreeSet::new(), due: None, pause: PAUSE_MIN }
    }
}

impl GapRecovery {
    /// Sets the missing frames. Returns `true` when they differ from the ones before.
    pub fn see(&mut self, missing: BTreeSet<MissingFrame>, now: Instant) -> bool {
        if missing == self.missing {
            return false;
        }
        let first = if self.missing.is_empty() { LATE } else { PAUSE_MIN };
        self.pause = PAUSE_MIN;
        self.due = match self.due {
            _ if missing.is_empty() => None,
            Some(due) => Some(due.min(now + first)),
            None => Some(now + first),
        };
        self.missing = missing;
        true
    }

    /// The missing frames.
    pub fn all(&self) -> &BTreeSet<MissingFrame> {
        &self.missing
    }

    /// The streams with missing frames.
    pub fn targets(&self) -> BTreeSet<StreamPartition> {
        self.missing.iter().map(|missing| missing.target.clone()).collect()
    }

    /// The time of the next attempt.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The streams that must be read from their first message now.
    pub fn due_again(&mut self, now: Instant) -> BTreeSet<StreamPartition> {
        if self.due.is_none_or(|due| due > now) {
            return BTreeSet::new();
        }
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.targets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::{Partition, Producer, Seq};

    fn missing(seqs: &[u64]) -> BTreeSet<MissingFrame> {
        let target = || StreamPartition::new("purchases", Partition(1));
        let producer = || Producer::new("accept", Partition(0));
        seqs.iter().map(|seq| MissingFrame { target: target(), producer: producer(), seq: Seq(*seq) }).collect()
    }

    /// In which seconds the stream is read again, given which frames are missing from which second on.
    fn check(seen: &[(u64, &[u64])], until: u64, expected: &[u64]) {
        let (mut frames, begin, mut looks) = (GapRecovery::default(), Instant::now(), Vec::new());
        for second in 0..until {
            let now = begin + Duration::from_secs(second);
            if let Some((_, seqs)) = seen.iter().rev().find(|(from, _)| *from <= second) {
                frames.see(missing(seqs), now);
            }
            if !frames.due_again(now).is_empty() {
                looks.push(second);
            }
        }
        assert_eq!(looks, expected, "{seen:?}");
    }

    #[test]
    fn a_missing_frame_is_sought_soon_and_then_at_growing_intervals() {
        check(&[(0, &[5])], 2_000, &[1, 6, 16, 36, 76, 156, 316, 616, 916, 1_216, 1_516, 1_816]);
    }

    #[test]
    fn a_frame_that_is_only_late_is_not_sought() {
        check(&[(3, &[5]), (4, &[])], 100, &[]);
    }

    #[test]
    fn another_missing_frame_is_sought_soon() {
        check(&[(0, &[5]), (50, &[8])], 70, &[1, 6, 16, 36, 55, 60]);
        check(&[(0, &[5]), (50, &[]), (60, &[8])], 65, &[1, 6, 16, 36, 61]);
    }
}
