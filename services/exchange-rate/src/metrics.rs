//! What is counted of the business, since the process started.

use contracts::RateRow;
use prometheus::{IntCounter, Registry};
use stage::Change;

pub(crate) struct Metrics {
    versions: IntCounter,
}

impl Metrics {
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Versions of rates recorded: new or changed rates of one moment each.";
        let versions = IntCounter::new("rate_versions_total", help)?;
        registry.register(Box::new(versions.clone()))?;
        Ok(Self { versions })
    }

    /// Counts what was recorded.
    pub fn recorded(&self, changes: &[Change]) {
        self.versions.inc_by(Change::of::<RateRow>(changes).count() as u64);
    }
}
