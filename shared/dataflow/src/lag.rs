//! The lag of a reader: in frames and in time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use stage::{Checkpoint, Position, Producer};

use crate::subscription::ReadProgress;
use crate::{JournalSource, RabbitMq, Store, StoreError, StreamBroker as _};

/// The maximum number of measurements that are remembered for one input.
const SEEN_MAX: u32 = 256;

/// The emitted and applied counts of one input: a producer's frames for the reader, or a broker's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StreamLag {
    emitted: u64,
    applied: u64,
}

/// The source of the lag of a reader.
pub(crate) enum LagSource {
    /// The journals it reads.
    Journals { id: Producer, store: Store, sources: Vec<JournalSource> },
    /// The streams of a broker, after the last message before which nothing is missing. Frames that are not published
    /// yet do not count.
    Broker { broker: RabbitMq, progress: ReadProgress },
}

impl LagSource {
    pub fn of_journals(id: &Producer, store: &Store, sources: Vec<JournalSource>) -> Self {
        Self::Journals { id: id.clone(), store: store.clone(), sources }
    }

    pub fn of_broker(broker: &RabbitMq, progress: ReadProgress) -> Self {
        Self::Broker { broker: broker.clone(), progress }
    }

    /// The lag of each input, always in the same order; `None` when it is unknown for now.
    async fn lines(&self) -> Option<Vec<StreamLag>> {
        match self {
            LagSource::Journals { id, store, sources } => of_journals(store, id, sources).await.ok(),
            LagSource::Broker { broker, progress } => of_broker(broker, progress).await,
        }
    }
}

async fn of_journals(store: &Store, id: &Producer, sources: &[JournalSource]) -> Result<Vec<StreamLag>, StoreError> {
    let newest = store.newest(id).await?;
    let checkpoint = newest.map_or(Ok(Checkpoint::default()), |record| record.parse_checkpoint());
    let checkpoint = checkpoint.map_err(|error| StoreError::Damaged(error.to_string()))?;
    let mut lines = Vec::new();
    for source in sources {
        for producer in &source.producers {
            let emitted = source.journal.last_seq(producer, &source.target).await?.0;
            let Position { next, .. } = checkpoint.positions.of(&source.target, producer);
            lines.push(StreamLag { emitted, applied: next.0.saturating_sub(1) });
        }
    }
    Ok(lines)
}

async fn of_broker(broker: &RabbitMq, progress: &ReadProgress) -> Option<Vec<StreamLag>> {
    let mut lines = Vec::new();
    for (target, given, applied) in progress.all() {
        // The broker updates its count only every few seconds.
        let emitted = broker.length(&target).await.ok()?.max(given);
        lines.push(StreamLag { emitted, applied });
    }
    Some(lines)
}

/// A reader's lag, measured from time to time.
pub(crate) struct Lag {
    behind: LagSource,
    waiting: Vec<OldestPending>,
}

impl Lag {
    /// The lag of a reader that has not been measured yet.
    pub fn new(behind: LagSource) -> Self {
        Self { behind, waiting: Vec::new() }
    }

    /// The number of waiting frames and the age of the oldest one; `None` when it is unknown for now.
    pub async fn look(&mut self) -> Option<(u64, Duration)> {
        let (lines, now) = (self.behind.lines().await?, Instant::now());
        self.waiting.resize_with(lines.len(), OldestPending::default);
        let frames = lines.iter().map(|line| line.emitted.saturating_sub(line.applied)).sum();
        let ages = self.waiting.iter_mut().zip(&lines).map(|(waiting, line)| waiting.look(now, *line));
        Some((frames, ages.max().unwrap_or_default()))
    }
}

/// The age of the oldest frame of one input that is not applied yet.
///
/// It remembers the emitted count at each measurement, and thus an upper bound on when a frame was emitted. The age is
/// therefore never too long, and too short by at most the time between two measurements; before the first measurement
/// nothing is known. When there are too many measurements, every second one is dropped, and from then on only every
/// second one is kept, until everything is applied.
#[derive(Debug, Default)]
struct OldestPending {
    /// Invariant: pairs of time and emitted count, both increasing, all counts beyond the applied one.
    seen: VecDeque<(Instant, u64)>,
    /// The minimum time between two of them.
    apart: Duration,
}

impl OldestPending {
    fn look(&mut self, now: Instant, line: StreamLag) -> Duration {
        // A recreated stream starts at 0.
        if self.seen.back().is_some_and(|(_, emitted)| line.emitted < *emitted) {
            self.seen.clear();
        }
        while self.seen.pop_front_if(|(_, emitted)| *emitted <= line.applied).is_some() {}
        let is_to_be_remembered = match self.seen.back() {
            None => line.emitted > line.applied,
            Some((last, emitted)) => line.emitted > *emitted && now.saturating_duration_since(*last) >= self.apart,
        };
        if is_to_be_remembered {
            self.remember(now, line.emitted);
        }
        self.age(now)
    }

    fn remember(&mut self, now: Instant, emitted: u64) {
        if self.seen.is_empty() {
            self.apart = Duration::ZERO;
        }
        self.seen.push_back((now, emitted));
        if self.seen.len() > SEEN_MAX as usize {
            let mut every_second = [true, false].into_iter().cycle();
            self.seen.retain(|_| every_second.next().unwrap_or(true));
            self.apart = self.age(now) / (SEEN_MAX / 2);
        }
    }

    fn age(&self, now: Instant) -> Duration {
        self.seen.front().map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures once a second. Each entry holds the emitted count, the applied count and the expected age in seconds.
    fn check(looks: impl IntoIterator<Item = (u64, u64, u64)>) -> OldestPending {
        let (mut waiting, begin) = (OldestPending::default(), Instant::now());
        for (second, (emitted, applied, expected)) in (0..).zip(looks) {
            let age = waiting.look(begin + Duration::from_secs(second), StreamLag { emitted, applied });
            assert_eq!(age.as_secs(), expected, "second {second}: emitted {emitted}, applied {applied}: {waiting:?}");
        }
        waiting
    }

    #[test]
    fn there_is_no_lag_while_everything_is_applied() {
        check([(0, 0, 0), (7, 7, 0), (9, 9, 0), (9, 9, 0)]);
    }

    #[test]
    fn a_waiting_frame_ages_from_its_first_measurement() {
        check([(7, 7, 0), (8, 7, 0), (8, 7, 1), (12, 7, 2), (12, 8, 1), (12, 11, 2), (12, 12, 0), (13, 12, 0)]);
    }

    #[test]
    fn a_reader_that_keeps_up_is_never_behind_for_long() {
        check((0..100).map(|second| (second * 10 + 5, second * 10, 0)));
    }

    #[test]
    fn the_applied_count_may_exceed_the_known_emitted_count() {
        check([(5, 3, 0), (5, 6, 0), (6, 6, 0), (7, 6, 0), (7, 6, 1)]);
    }

    #[test]
    fn a_recreated_stream_starts_again() {
        check([(9, 3, 0), (9, 3, 1), (5, 3, 0), (5, 3, 1), (2, 3, 0), (2, 2, 0), (3, 2, 0), (3, 2, 1)]);
    }

    #[test]
    fn a_long_standstill_takes_little_memory_and_the_age_stays_right() {
        let waiting = check((0..10_000).map(|second| (second + 1, 0, second)));
        assert!(waiting.seen.len() <= SEEN_MAX as usize);
        let mut catching_up = waiting;
        let (first, _) = catching_up.seen[0];
        let age = catching_up.look(first + Duration::from_secs(10_000), StreamLag { emitted: 10_001, applied: 5_000 });
        assert!((4_900..=5_000).contains(&age.as_secs()), "{age:?}");
    }
}
