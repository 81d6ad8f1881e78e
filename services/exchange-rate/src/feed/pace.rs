//! How long to wait before the feed is asked again. Knows no clock.

use std::time::Duration;

/// The longest that failures alone can delay an attempt: a source that is updated once a day is missed by no more.
const WAIT_MAX: Duration = Duration::from_secs(6 * 3_600);
/// The longest that the feed can ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The interval after a success and after the first failure; twice as long with each further one.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    next: Duration,
}

impl Pace {
    /// Nothing has failed yet.
    pub fn new(interval: Duration) -> Self {
        Self { interval, next: interval }
    }

    /// The wait after a success.
    pub fn after_success(&mut self) -> Duration {
        self.next = self.interval;
        self.interval
    }

    /// The wait after a failure: never shorter than the interval, longer if the feed asks for it.
    pub fn after_failure(&mut self, retry_after: Option<Duration>) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(WAIT_MAX).max(self.interval);
        wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(mut wait: impl FnMut() -> Duration, count: usize) -> Vec<u64> {
        std::iter::repeat_with(|| wait().as_secs()).take(count).collect()
    }

    #[test]
    fn waits_double_from_the_interval_up_to_the_limit() {
        let mut pace = Pace::new(Duration::from_secs(3_600));
        assert_eq!(seconds(|| pace.after_failure(None), 5), [3_600, 7_200, 14_400, 21_600, 21_600]);
        let mut pace = Pace::new(Duration::from_secs(1));
        assert_eq!(seconds(|| pace.after_failure(None), 16)[10..], [1_024, 2_048, 4_096, 8_192, 16_384, 21_600]);
    }

    #[test]
    fn a_success_ends_the_waiting() {
        let mut pace = Pace::new(Duration::from_secs(10));
        assert_eq!(seconds(|| pace.after_success(), 3), [10, 10, 10]);
        assert_eq!(seconds(|| pace.after_failure(None), 3), [10, 20, 40]);
        assert_eq!(seconds(|| pace.after_success(), 2), [10, 10]);
        assert_eq!(seconds(|| pace.after_failure(None), 2), [10, 20]);
    }

    #[test]
    fn an_interval_beyond_the_limit_stays_the_interval() {
        let mut pace = Pace::new(Duration::from_secs(86_400));
        assert_eq!(seconds(|| pace.after_failure(None), 3), [86_400, 86_400, 86_400]);
    }

    #[test]
    fn what_the_feed_asks_for_is_kept_within_limits_and_changes_no_later_wait() {
        let mut pace = Pace::new(Duration::from_secs(10));
        let asks = [Some(0), Some(15), Some(60), None, Some(86_400 * 365)];
        let waits = asks.map(|ask| pace.after_failure(ask.map(Duration::from_secs)).as_secs());
        assert_eq!(waits, [10, 20, 60, 80, 86_400]);
    }
}
