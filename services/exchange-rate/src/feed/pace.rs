//! The waits between attempts. The module computes durations and reads no clock.

use std::time::Duration;

/// The longest wait after a failure without `Retry-After`. The source is updated once a day, so rates are late by no
/// more than this.
const WAIT_MAX: Duration = Duration::from_secs(6 * 3_600);
/// The longest wait that `Retry-After` of the feed can cause.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The longest first wait after a failure. Most failures are short, such as a network that is not up yet.
const RETRY_FIRST: Duration = Duration::from_secs(60);

/// Computes the waits. After a success, the wait is the interval. After the first failure it is a minute, or the
/// interval if that is shorter; each further failure doubles it.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    next: Duration,
}

impl Pace {
    /// The state before the first failure.
    pub fn new(interval: Duration) -> Self {
        Self { interval, next: interval.min(RETRY_FIRST) }
    }

    /// The wait after a success.
    pub fn after_success(&mut self) -> Duration {
        self.next = self.interval.min(RETRY_FIRST);
        self.interval
    }

    /// The wait after a failure, or the feed's `Retry-After` if that is longer.
    pub fn after_failure(&mut self, retry_after: Option<Duration>) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(WAIT_MAX);
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
    fn waits_double_from_a_minute_or_the_interval_up_to_the_limit() {
        let mut pace = Pace::new(Duration::from_secs(3_600));
        assert_eq!(seconds(|| pace.after_failure(None), 4), [60, 120, 240, 480]);
        assert_eq!(seconds(|| pace.after_failure(None), 7)[3..], [7_680, 15_360, 21_600, 21_600]);
        let mut pace = Pace::new(Duration::from_secs(1));
        assert_eq!(seconds(|| pace.after_failure(None), 16)[10..], [1_024, 2_048, 4_096, 8_192, 16_384, 21_600]);
    }

    #[test]
    fn a_success_resets_the_wait() {
        let mut pace = Pace::new(Duration::from_secs(10));
        assert_eq!(seconds(|| pace.after_success(), 3), [10, 10, 10]);
        assert_eq!(seconds(|| pace.after_failure(None), 3), [10, 20, 40]);
        assert_eq!(seconds(|| pace.after_success(), 2), [10, 10]);
        assert_eq!(seconds(|| pace.after_failure(None), 2), [10, 20]);
    }

    #[test]
    fn an_interval_beyond_the_limit_is_kept_after_a_success() {
        let mut pace = Pace::new(Duration::from_secs(86_400));
        assert_eq!(seconds(|| pace.after_success(), 2), [86_400, 86_400]);
    }

    #[test]
    fn retry_after_is_limited_and_does_not_change_later_waits() {
        let mut pace = Pace::new(Duration::from_secs(10));
        let retry_afters = [Some(0), Some(15), Some(60), None, Some(86_400 * 365)];
        let waits = retry_afters.map(|wait| pace.after_failure(wait.map(Duration::from_secs)).as_secs());
        assert_eq!(waits, [10, 20, 60, 80, 86_400]);
    }
}
