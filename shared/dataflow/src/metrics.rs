//! The metrics of a stage's partitions, for Prometheus.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};
use stage::{Admission, Producer};

use crate::Committed;

/// From the latency of an idle system to one that no client still waits for.
const LATENCY_BUCKETS_S: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The metrics of one owner.
#[derive(Clone, Debug)]
pub struct Metrics {
    facts_per_batch: Histogram,
    facts_per_frame: Histogram,
    batch_seconds: Histogram,
    commit_seconds: Histogram,
    latency_seconds: Histogram,
    duplicates: IntCounter,
    gaps: IntCounter,
    damaged: IntCounter,
    retries: IntCounter,
    doubts: Doubts,
    waiting: IntGauge,
    missing: IntGauge,
}

impl Metrics {
    /// Registers the metrics of one owner.
    ///
    /// # Errors
    /// When they are already registered.
    pub fn register(registry: &Registry, owner: &Producer) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::with_opts(labelled(Opts::new(name, help), owner))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let opts = HistogramOpts { common_opts: labelled(Opts::new(name, help), owner), buckets };
            let histogram = Histogram::with_opts(opts)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::with_opts(labelled(Opts::new(name, help), owner))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            facts_per_batch: histogram(
                "stage_batch_facts",
                "Facts or requests applied in one commit.",
                prometheus::exponential_buckets(1.0, 2.0, 13)?,
            )?,
            facts_per_frame: histogram(
                "stage_frame_facts",
                "Facts packed into one frame.",
                prometheus::exponential_buckets(1.0, 2.0, 11)?,
            )?,
            batch_seconds: histogram(
                "stage_batch_seconds",
                "Time to load, apply and commit one batch.",
                prometheus::exponential_buckets(0.000_25, 2.0, 14)?,
            )?,
            commit_seconds: histogram(
                "stage_commit_seconds",
                "Time of the commit alone.",
                prometheus::exponential_buckets(0.000_25, 2.0, 14)?,
            )?,
            latency_seconds: histogram(
                "stage_latency_seconds",
                "Time from the arrival of a request until this stage committed its effects.",
                LATENCY_BUCKETS_S.to_vec(),
            )?,
            duplicates: counter("stage_duplicate_frames_total", "Frames dropped because they were already applied.")?,
            gaps: counter("stage_gap_frames_total", "Frames dropped because an earlier frame was missing.")?,
            damaged: counter("stage_damaged_frames_total", "Frames dropped because their hash did not match.")?,
            retries: counter("stage_retries_total", "Batches retried because the database did not answer.")?,
            doubts: Doubts::register(registry, owner)?,
            waiting: gauge("stage_requests_waiting", "Requests accepted and not yet committed.")?,
            missing: gauge("stage_missing_frames", "Missing frames that block all later frames of their producers.")?,
        })
    }

    /// Counts a batch.
    #[allow(clippy::cast_precision_loss)] // A batch has thousands of facts, not 2^52.
    pub(crate) fn batch(&self, committed: &Committed, took: Duration) {
        self.facts_per_batch.observe(committed.facts as f64);
        committed.frames.iter().for_each(|frame| self.facts_per_frame.observe(frame.facts as f64));
        self.batch_seconds.observe(took.as_secs_f64());
        committed.commit_took.iter().for_each(|took| self.commit_seconds.observe(took.as_secs_f64()));
        // Added up locally and flushed once.
        let (latencies, now) = (self.latency_seconds.local(), Utc::now());
        committed.arrived_at.iter().for_each(|arrived_at| latencies.observe(passed(*arrived_at, now).as_secs_f64()));
        latencies.flush();
    }

    /// Counts a commit in doubt whose result is known now: it was written, or never will be.
    pub(crate) fn resolved(&self, was_written: bool) {
        if was_written { &self.doubts.written } else { &self.doubts.lost }.inc();
    }

    pub(crate) fn frame(&self, admission: Admission) {
        match admission {
            Admission::Duplicate => self.duplicates.inc(),
            Admission::Gap { .. } => self.gaps.inc(),
            Admission::Damaged => self.damaged.inc(),
            Admission::Next | Admission::Fork | Admission::UnknownProducer => {}
        }
    }

    /// Sets the number of missing frames.
    pub(crate) fn missing(&self, frames: usize) {
        self.missing.set(i64::try_from(frames).unwrap_or(i64::MAX));
    }

    pub(crate) fn retry(&self) {
        self.retries.inc();
    }

    pub(crate) fn waiting(&self, requests: usize) {
        self.waiting.set(i64::try_from(requests).unwrap_or(i64::MAX));
    }
}

/// Commits in doubt, by result.
#[derive(Clone, Debug)]
struct Doubts {
    written: IntCounter,
    lost: IntCounter,
}

impl Doubts {
    fn register(registry: &Registry, owner: &Producer) -> prometheus::Result<Self> {
        let counter = |fate: &str| {
            let help = "Commits whose reply was lost, by their actual result.";
            let opts = labelled(Opts::new("stage_in_doubt_commits_total", help), owner).const_label("fate", fate);
            let counter = IntCounter::with_opts(opts)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self { written: counter("written")?, lost: counter("lost")? })
    }
}

/// The time in between; zero when the clock was set back meanwhile, or is behind the clock that stamped the request.
fn passed(from: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - from).to_std().unwrap_or(Duration::ZERO)
}

pub(crate) fn labelled(opts: Opts, owner: &Producer) -> Opts {
    opts.const_label("stage", owner.stage.as_ref()).const_label("partition", owner.partition.0.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::{Frame, Hash, Partition, Seq, StreamPartition};

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn a_clock_that_was_set_back_counts_as_zero() {
        assert_eq!(passed(at(1_000), at(1_250)), Duration::from_millis(250));
        assert_eq!(passed(at(1_000), at(400)), Duration::ZERO);
        assert_eq!(passed(DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC), Duration::ZERO);
        assert!(passed(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC) > Duration::ZERO);
    }

    #[test]
    fn a_batch_is_counted_with_its_facts_frames_and_times() {
        let (registry, owner) = (Registry::new(), Producer::new("post", Partition(1)));
        let metrics = Metrics::register(&registry, &owner).unwrap();
        let frame =
            Frame::seal(owner, StreamPartition::new("outcomes", Partition(0)), Seq(1), Hash::ZERO, 2, "[]".to_owned());
        let (frames, changes) = (vec![frame], Vec::new());
        // One of three facts had no effect; another one arrived in the future, by its time.
        let arrived_at = vec![Utc::now() - Duration::from_secs(3), Utc::now() + Duration::from_secs(3_600)];
        let commit_took = Some(Duration::from_millis(2));
        let committed =
            Committed { batch: None, frames, changes, facts: 3, arrived_at, commit_took, batch_trace: None };
        metrics.batch(&committed, Duration::from_millis(5));
        metrics.batch(&Committed { facts: 1, arrived_at: Vec::new(), commit_took: None, ..committed }, Duration::ZERO);
        let counted = |histogram: &Histogram| (histogram.get_sample_count(), histogram.get_sample_sum());
        assert_eq!(counted(&metrics.facts_per_batch), (2, 4.0));
        assert_eq!(counted(&metrics.facts_per_frame), (2, 4.0));
        assert_eq!((counted(&metrics.batch_seconds).0, counted(&metrics.commit_seconds)), (2, (1, 0.002)));
        let (count, sum) = counted(&metrics.latency_seconds);
        assert!(count == 2 && (3.0..4.0).contains(&sum), "{count} {sum}");
    }
}
