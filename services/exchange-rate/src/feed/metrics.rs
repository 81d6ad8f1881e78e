//! The metrics of the feed.

use chrono::Utc;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::{AttemptError, Update};

/// The metrics of the feed. They exist only when a feed is set.
#[derive(Clone)]
pub struct Metrics {
    fetches: IntCounterVec,
    last_success: IntGauge,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When they are already registered.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let opts = Opts::new("ecb_feed_fetches_total", "Fetches from the feed, by result.");
        let fetches = IntCounterVec::new(opts, &["result"])?;
        let last_success = IntGauge::new(
            "ecb_feed_last_success_timestamp_seconds",
            "Time of the last successful fetch; 0 before the first.",
        )?;
        registry.register(Box::new(fetches.clone()))?;
        registry.register(Box::new(last_success.clone()))?;
        for result in [NEW, UNCHANGED, FAILED] {
            fetches.with_label_values(&[result]);
        }
        Ok(Self { fetches, last_success })
    }

    /// Counts an attempt by its result.
    pub(super) fn count(&self, attempt: &Result<Update, AttemptError>) {
        let result = match attempt {
            Ok(Update::Changed(_)) => NEW,
            Ok(Update::Unchanged) => UNCHANGED,
            Err(_) => FAILED,
        };
        self.fetches.with_label_values(&[result]).inc();
        if attempt.is_ok() {
            self.last_success.set(Utc::now().timestamp());
        }
    }
}

const NEW: &str = "new";
const UNCHANGED: &str = "unchanged";
const FAILED: &str = "failed";
