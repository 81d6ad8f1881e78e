//! The metrics of the local copy of the rates.

use chrono::Utc;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts, Registry};

use super::{RATES, RatesCopy};

impl RatesCopy {
    /// Registers the metrics. Each scrape computes them.
    ///
    /// # Errors
    /// When they are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help).const_label("copy", RATES));
        let age = gauge("local_copy_age_seconds", "Time since the newest version of a local copy was committed.")?;
        let newest = gauge(
            "local_copy_newest_valid_from_timestamp_seconds",
            "Time from which the newest rates of a local copy are valid.",
        )?;
        registry.register(Box::new(Metrics { copy: self.clone(), age, newest }))
    }
}

/// Computed by each scrape, so that nothing has to update them in between.
struct Metrics {
    copy: RatesCopy,
    age: Gauge,
    newest: Gauge,
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.age.desc(), self.newest.desc()].concat()
    }

    #[allow(clippy::cast_precision_loss)] // Exact for 285 million years of seconds.
    fn collect(&self) -> Vec<MetricFamily> {
        let known = *self.copy.known();
        let mut families = Vec::new();
        if let Some(age) = known.age_seconds(Utc::now()) {
            self.age.set(age);
            families.extend(self.age.collect());
        }
        if let Some(newest) = known.newest_valid_from {
            self.newest.set(newest.timestamp() as f64);
            families.extend(self.newest.collect());
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::tests::{empty, version};
    use super::*;

    #[test]
    fn an_empty_copy_has_no_metrics() {
        let registry = Registry::new();
        empty().register(&registry).unwrap();
        assert!(registry.gather().is_empty());
    }

    #[test]
    fn each_scrape_computes_the_metrics() {
        let (copy, registry) = (empty(), Registry::new());
        copy.register(&registry).unwrap();
        copy.add([version(1, "2026-10-30T00:00:00Z", false)], Some(Utc::now() - TimeDelta::hours(1)));
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert_eq!(value("local_copy_newest_valid_from_timestamp_seconds{copy=\"rates\"}"), Some(1_793_318_400.0));
        let age = value("local_copy_age_seconds{copy=\"rates\"}").unwrap();
        assert!((3_600.0..3_660.0).contains(&age), "{age}");
    }
}
