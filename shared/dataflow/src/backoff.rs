//! Pauses between retries.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// The first wait after a failure lasts this long or up to twice as long, by chance: those who failed at the same moment
/// do not all come back at the same moment. It doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(25);
/// The longest wait, or twice as long at most: a database that is back is used again within two seconds.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Pauses that double up to a limit, with jitter.
pub(crate) struct Backoff {
    waits: ExponentialBackoff,
    /// Failures since the last success.
    pub(crate) failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        let waits = ExponentialBuilder::new().with_min_delay(RETRY_FIRST).with_max_delay(RETRY_MAX);
        Self { waits: waits.with_jitter().without_max_times().build(), failures: 0 }
    }
}

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        self.failures += 1;
        self.waits.next().unwrap_or(RETRY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn waits_double_up_to_two_seconds_and_go_on_for_ever() {
        let mut backoff = Backoff::default();
        for failures in 1..=1_000 {
            let least = (RETRY_FIRST * 2_u32.pow((failures - 1).min(6))).min(RETRY_MAX);
            let wait = backoff.next();
            assert!((least..=2 * least).contains(&wait), "{wait:?} after {failures} failures");
            assert_eq!(backoff.failures, failures);
        }
    }

    #[test]
    fn those_who_fail_together_do_not_come_back_together() {
        let waits: BTreeSet<_> = (0..64).map(|_| Backoff::default().next()).collect();
        assert!(waits.len() > 32, "{waits:?}");
    }
}
