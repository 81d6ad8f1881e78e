//! The figures of a stage's partitions, for Prometheus.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};
use stage::{Admission, Frame, Producer};

/// What one owner counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    facts_per_batch: Histogram,
    facts_per_frame: Histogram,
    commit_seconds: Histogram,
    duplicates: IntCounter,
    gaps: IntCounter,
    damaged: IntCounter,
    retries: IntCounter,
    waiting: IntGauge,
}

impl Metrics {
    /// Registers the figures of one owner.
    ///
    /// # Errors
    /// When they are registered already.
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
        let waiting = IntGauge::with_opts(labelled(
            Opts::new("stage_requests_waiting", "Requests taken in and not yet committed."),
            owner,
        ))?;
        registry.register(Box::new(waiting.clone()))?;
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
            commit_seconds: histogram(
                "stage_batch_seconds",
                "Time to load, apply and commit one batch.",
                prometheus::exponential_buckets(0.000_25, 2.0, 14)?,
            )?,
            duplicates: counter("stage_duplicate_frames_total", "Frames dropped because they had been applied.")?,
            gaps: counter("stage_gap_frames_total", "Frames dropped because one before them was missing.")?,
            damaged: counter("stage_damaged_frames_total", "Frames dropped because their hash did not fit.")?,
            retries: counter("stage_retries_total", "Batches tried again because the database did not answer.")?,
            waiting,
        })
    }

    #[allow(clippy::cast_precision_loss)] // A batch has thousands of facts, not 2^52.
    pub(crate) fn batch(&self, facts: usize, frames: &[Frame], took: std::time::Duration) {
        self.facts_per_batch.observe(facts as f64);
        frames.iter().for_each(|frame| self.facts_per_frame.observe(frame.facts as f64));
        self.commit_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn frame(&self, admission: Admission) {
        match admission {
            Admission::Duplicate => self.duplicates.inc(),
            Admission::Gap { .. } => self.gaps.inc(),
            Admission::Damaged => self.damaged.inc(),
            Admission::Next | Admission::Fork | Admission::UnknownProducer => {}
        }
    }

    pub(crate) fn retry(&self) {
        self.retries.inc();
    }

    pub(crate) fn waiting(&self, requests: usize) {
        self.waiting.set(i64::try_from(requests).unwrap_or(i64::MAX));
    }
}

fn labelled(opts: Opts, owner: &Producer) -> Opts {
    opts.const_label("stage", owner.stage.as_ref()).const_label("partition", owner.partition.0.to_string())
}
