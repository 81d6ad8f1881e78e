use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

use crate::memory;

/// Registers the standard Prometheus `process_*` metrics and `process_peak_resident_memory_bytes`. Each scrape reads
/// their current values. They exist only on Linux.
///
/// # Errors
/// When the registry already contains a metric with one of these names.
pub fn register_process(registry: &Registry) -> Result<(), prometheus::Error> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    registry.register(Box::new(Peak(IntGauge::new(
        "process_peak_resident_memory_bytes",
        "Peak resident memory size in bytes.",
    )?)))
}

struct Peak(IntGauge);

impl Collector for Peak {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(now) = memory() else {
            return Vec::new();
        };
        self.0.set(now.peak_bytes.try_into().unwrap_or(i64::MAX));
        self.0.collect()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_shown_at_each_scrape() {
        let registry = Registry::new();
        register_process(&registry).unwrap();
        let families = registry.gather();
        let names: Vec<_> = families.iter().map(|family| family.name()).collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_open_fds",
                "process_peak_resident_memory_bytes",
                "process_resident_memory_bytes",
                "process_start_time_seconds",
                "process_threads",
                "process_virtual_memory_bytes",
            ]
        );
        assert!(families[2..].iter().all(|family| family.get_metric()[0].get_gauge().get_value() > 0.0));
        assert!(register_process(&registry).is_err());
    }
}
