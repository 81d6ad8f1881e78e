//! For how long, and after which pauses, a request is sent again.

use std::time::{Duration, Instant};

/// The longest time that a service may be unavailable.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

/// The pause before the first retry; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause, and the longest `Retry-After` that is respected.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pauses between the attempts of one request, and their end.
#[derive(Debug, Default)]
pub struct Retries {
    ends: Option<Instant>,
    pause: Duration,
}

impl Retries {
    /// The pause before the next attempt; `None` when the time is up. The last attempt is made at the end of the time.
    pub fn pause(&mut self, now: Instant, retry_after: Option<Duration>) -> Option<Duration> {
        let ends = *self.ends.get_or_insert(now + RETRY_MAX);
        let left = ends.saturating_duration_since(now);
        if left.is_zero() {
            return None;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        let asked = retry_after.unwrap_or_default().min(PAUSE_MAX);
        Some(self.pause.max(asked).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_the_last_attempt_is_made_when_the_time_is_up() {
        let (mut retries, mut now, mut pauses) = (Retries::default(), Instant::now(), Vec::new());
        let began = now;
        while let Some(pause) = retries.pause(now, None) {
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses[..7], [50, 100, 200, 400, 800, 1_600, 2_000]);
        assert_eq!(now - began, RETRY_MAX);
    }

    #[test]
    fn retry_after_is_respected_within_limits() {
        let check = |seconds, expected_ms| {
            let pause = Retries::default().pause(Instant::now(), Some(Duration::from_secs(seconds)));
            assert_eq!(pause, Some(Duration::from_millis(expected_ms)));
        };
        check(0, 50);
        check(1, 1_000);
        check(3_600, 2_000);
    }
}
