//! The services' own metrics, from `GET /metrics` (Prometheus text).

use std::collections::BTreeMap;
use std::ops::Sub;
use std::time::Instant;

use operator_client::{ServiceClient, ServiceError};
use reqwest::Method;
use serde::Serialize;

/// The sum and the count of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    sum: f64,
    count: f64,
}

impl Sum {
    /// The number of observations.
    pub fn count(self) -> f64 {
        self.count
    }

    /// The mean; `None` without observations.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0.0).then_some(self.sum / self.count)
    }
}

impl Sub for Sum {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { sum: self.sum - before.sum, count: self.count - before.count }
    }
}

/// The work of all partitions of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stage {
    /// Facts per commit.
    pub batch_facts: Sum,
    /// Facts per emitted frame.
    pub frame_facts: Sum,
    /// Seconds per commit.
    pub batch_seconds: Sum,
}

/// The memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// The resident memory.
    pub resident_bytes: f64,
    /// The peak of the resident memory.
    pub peak_bytes: f64,
}

/// The metrics of a service at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The stages by name.
    pub stages: BTreeMap<String, Stage>,
    /// The memory of the process, if it is known.
    pub memory: Option<Memory>,
}

/// The work of the stages between two moments, by name, and the memory at the end, by service.
///
/// # Errors
/// [`ServiceError`].
pub async fn between(
    services: &[ServiceClient],
    begin: Instant,
    end: Instant,
) -> Result<(BTreeMap<String, Stage>, BTreeMap<&'static str, Memory>), ServiceError> {
    tokio::time::sleep_until(begin.into()).await;
    let mut before = BTreeMap::new();
    for service in services {
        before.append(&mut look(service).await?.stages);
    }
    tokio::time::sleep_until(end.into()).await;
    let (mut stages, mut memory) = (BTreeMap::new(), BTreeMap::new());
    for service in services {
        let metrics = look(service).await?;
        for (name, now) in metrics.stages {
            let before = before.get(&name).copied().unwrap_or_default();
            stages.insert(
                name,
                Stage {
                    batch_facts: now.batch_facts - before.batch_facts,
                    frame_facts: now.frame_facts - before.frame_facts,
                    batch_seconds: now.batch_seconds - before.batch_seconds,
                },
            );
        }
        metrics.memory.map(|held| memory.insert(service.name(), held));
    }
    Ok((stages, memory))
}

async fn look(service: &ServiceClient) -> Result<Metrics, ServiceError> {
    let text = service.retry(async || service.once("/metrics", service.request(Method::GET, "/metrics")).await).await?;
    Ok(read(&String::from_utf8_lossy(&text)))
}

/// Parses the relevant lines, and adds up the partitions of each stage.
pub fn read(text: &str) -> Metrics {
    let mut metrics = Metrics::default();
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        match series {
            "process_resident_memory_bytes" => metrics.memory.get_or_insert_default().resident_bytes = value,
            "process_peak_resident_memory_bytes" => metrics.memory.get_or_insert_default().peak_bytes = value,
            _ => {
                let Some((name, stage)) = of_stage(series) else { continue };
                let stage = metrics.stages.entry(stage.to_owned()).or_default();
                match name {
                    "stage_batch_facts_sum" => stage.batch_facts.sum += value,
                    "stage_batch_facts_count" => stage.batch_facts.count += value,
                    "stage_frame_facts_sum" => stage.frame_facts.sum += value,
                    "stage_frame_facts_count" => stage.frame_facts.count += value,
                    "stage_batch_seconds_sum" => stage.batch_seconds.sum += value,
                    "stage_batch_seconds_count" => stage.batch_seconds.count += value,
                    _ => {}
                }
            }
        }
    }
    metrics
}

/// The name of a series, and its label `stage`.
fn of_stage(series: &str) -> Option<(&str, &str)> {
    let (name, labels) = series.split_once('{')?;
    let stage = labels.trim_end_matches('}').split(',').find_map(|label| label.strip_prefix("stage=\""))?;
    Some((name, stage.trim_end_matches('"')))
}
