//! The exporter's side of the queue: counts what becomes of spans, and says so now and then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prometheus::{IntCounter, Opts, Registry};

/// A receiver that is away is not worth a line each time it is tried.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What becomes of spans.
#[derive(Debug)]
pub(super) struct Counts {
    service: &'static str,
    queue_max: usize,
    /// Invariant: let in and neither sent nor dropped yet. No less than the processor's queue holds, which has room for
    /// `queue_max`: so the processor never drops one uncounted.
    queued: AtomicUsize,
    sent: IntCounter,
    queue_full: IntCounter,
    not_taken: IntCounter,
    said: Mutex<Said>,
}

/// What the log has already.
#[derive(Debug, Default)]
struct Said {
    warned: Option<Instant>,
    dropped: u64,
    is_failing: bool,
}

impl Counts {
    pub fn new(service: &'static str, queue_max: usize) -> prometheus::Result<Self> {
        let dropped = |reason| {
            let opts = Opts::new("otel_spans_dropped_total", "Spans that were to be sent and were not.");
            IntCounter::with_opts(opts.const_label("reason", reason))
        };
        Ok(Self {
            service,
            queue_max,
            queued: AtomicUsize::new(0),
            sent: IntCounter::new("otel_spans_sent_total", "Spans that their receiver has taken.")?,
            queue_full: dropped("queue_full")?,
            not_taken: dropped("not_taken")?,
            said: Mutex::default(),
        })
    }

    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let mut all = [&self.sent, &self.queue_full, &self.not_taken].into_iter();
        all.try_for_each(|counter| registry.register(Box::new(counter.clone())))
    }

    /// Whether there is room for one more, which is then taken.
    pub fn enters(&self) -> bool {
        let enters = self.queued.fetch_add(1, Ordering::AcqRel) < self.queue_max;
        if !enters {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            self.queue_full.inc();
        }
        enters
    }

    /// How many wait, or are just being sent.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    fn left(&self, spans: usize, result: &OTelSdkResult) {
        self.queued.fetch_sub(spans, Ordering::AcqRel);
        let counter = if result.is_ok() { &self.sent } else { &self.not_taken };
        counter.inc_by(spans as u64);
        self.say(result);
    }

    fn say(&self, result: &OTelSdkResult) {
        let (service, dropped) = (self.service, self.queue_full.get() + self.not_taken.get());
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_failing && result.is_ok() {
            tracing::info!(service, dropped, "spans are taken again");
        }
        said.is_failing = result.is_err();
        let is_new = dropped > said.dropped;
        if !is_new || said.warned.is_some_and(|warned| warned.elapsed() < WARN_INTERVAL) {
            return;
        }
        (said.warned, said.dropped) = (Some(Instant::now()), dropped);
        match result {
            Ok(()) => tracing::warn!(service, dropped, "spans come faster than they are taken, and are dropped"),
            Err(error) => tracing::warn!(service, dropped, why = %error, "spans are not taken, and are dropped"),
        }
    }
}

/// Sends, and counts.
#[derive(Debug)]
pub(super) struct Exporter {
    otlp: opentelemetry_otlp::SpanExporter,
    counts: Arc<Counts>,
}

impl Exporter {
    pub fn new(otlp: opentelemetry_otlp::SpanExporter, counts: Arc<Counts>) -> Self {
        Self { otlp, counts }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.otlp.export(batch).await;
        self.counts.left(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_what_left_makes_room() {
        let counts = Counts::new("shop", 2).unwrap();
        assert_eq!([(); 3].map(|()| counts.enters()), [true, true, false]);
        counts.left(1, &Ok(()));
        counts.left(1, &Err(OTelSdkError::InternalFailure("away".to_owned())));
        assert!(counts.enters());
        let metrics = (counts.sent.get(), counts.queue_full.get(), counts.not_taken.get(), counts.queued());
        assert_eq!(metrics, (1, 1, 1, 1));
    }
}
