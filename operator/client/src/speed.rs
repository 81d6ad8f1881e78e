//! Speeds, in whole numbers per second.

use std::time::Duration;

/// The number per second.
pub fn per_second(count: u64, time: Duration) -> u64 {
    let milliseconds = time.as_millis().max(1);
    u64::try_from(u128::from(count) * 1_000 / milliseconds).unwrap_or(u64::MAX)
}
