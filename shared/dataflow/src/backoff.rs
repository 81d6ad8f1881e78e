//! Pauses between retries.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// The first wait after a failure. With jitter it is up to twice as long, so that owners that failed at the same moment
/// do not all retry at the same moment. It doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(25);
/// The longest wait, or up to twice as long with jitter. A recovered database is used again within two seconds.
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
    fn waits_double_up_to_two_seconds_and_never_end() {
        let mut backoff = Backoff::default();
        for failures in 1..=1_000 {
            let least = (RETRY_FIRST * 2_u32.pow((failures - 1).min(6))).min(RETRY_MAX);
            let wait = backoff.next();
            assert!((least..=2 * least).contains(&wait), "{wait:?} after {failures} failures");
            assert_eq!(backoff.failures, failures);
        }
    }

    #[test]
    fn owners_that_fail_together_do_not_retry_together() {
        let waits: BTreeSet<_> = (0..64).map(|_| Backoff::default().next()).collect();
        assert!(waits.len() > 32, "{waits:?}");
    }
}
