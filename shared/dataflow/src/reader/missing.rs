//! What a reader does while a frame is missing: it says so, and goes back to the stream's first message now and then.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stage::StreamPartition;

use crate::MissingFrame;

/// A frame that only comes late is not looked for: after a refusal of the broker some come once more, in order.
const LATE: Duration = Duration::from_secs(1);
/// Between the first look and the second; it doubles from there.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// Reading a long stream takes minutes.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// The frames that one reader misses, and when to look for them again.
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
    /// What is missing now. `true`: it is not what was missing before.
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

    /// What is missing.
    pub fn all(&self) -> &BTreeSet<MissingFrame> {
        &self.missing
    }

    /// The streams in which something is missing.
    pub fn targets(&self) -> BTreeSet<StreamPartition> {
        self.missing.iter().map(|missing| missing.target.clone()).collect()
    }

    /// When to look for it again.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The streams to be read from their first message now.
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

    /// In which seconds the stream is read again, when this is missing from these seconds on.
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
    fn it_is_looked_for_at_once_and_then_more_and_more_seldom() {
        check(&[(0, &[5])], 2_000, &[1, 6, 16, 36, 76, 156, 316, 616, 916, 1_216, 1_516, 1_816]);
    }

    #[test]
    fn what_only_comes_late_is_not_looked_for() {
        check(&[(3, &[5]), (4, &[])], 100, &[]);
    }

    #[test]
    fn another_one_is_looked_for_soon() {
        check(&[(0, &[5]), (50, &[8])], 70, &[1, 6, 16, 36, 55, 60]);
        check(&[(0, &[5]), (50, &[]), (60, &[8])], 65, &[1, 6, 16, 36, 61]);
    }
}
