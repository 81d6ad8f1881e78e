//! The services' own metrics, from `GET /metrics` (Prometheus text).

use std::collections::BTreeMap;
use std::ops::Sub;
use std::time::Instant;

use reqwest::Method;
use serde::Serialize;

use crate::service::{ServiceClient, ServiceError};

/// The sum and the count of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    sum: f64,
    count: f64,
}

impl Sum {
    /// How many there are.
    pub fn count(self) -> f64 {
        self.count
    }

    /// The mean; none of nothing.
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

/// What all partitions of a stage have done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stage {
    /// Facts of each commit.
    pub batch_facts: Sum,
    /// Facts of each frame said.
    pub frame_facts: Sum,
    /// Seconds of each commit.
    pub batch_seconds: Sum,
}

/// The memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Resident now.
    pub resident_bytes: f64,
    /// The most that was ever resident.
    pub peak_bytes: f64,
}

/// What one look at a service shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Its stages.
    pub stages: BTreeMap<String, Stage>,
    /// The memory of its process, where it is known.
    pub memory: Option<Memory>,
}

/// What the services say about the time between two moments: stages by name, and in the end the memory by service.
///
/// # Errors
/// [`ServiceError`].
pub async fn between(
    services: &[&ServiceClient],
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
    let text =
        service.persist(async || service.once("/metrics", service.request(Method::GET, "/metrics")).await).await?;
    Ok(read(&String::from_utf8_lossy(&text)))
}

/// Reads the lines that are of interest; the partitions of a stage are added up.
pub(super) fn read(text: &str) -> Metrics {
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
