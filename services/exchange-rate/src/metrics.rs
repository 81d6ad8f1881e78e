//! Business metrics, counted since the process started.

use contracts::RateRow;
use prometheus::{IntCounter, Registry};
use stage::Change;

pub(crate) struct Metrics {
    versions: IntCounter,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When they are already registered.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Versions of rates recorded. One version holds the new or changed rates of one moment.";
        let versions = IntCounter::new("rate_versions_total", help)?;
        registry.register(Box::new(versions.clone()))?;
        Ok(Self { versions })
    }

    /// Counts the recorded versions.
    pub fn recorded(&self, changes: &[Change]) {
        self.versions.inc_by(Change::of::<RateRow>(changes).count() as u64);
    }
}
