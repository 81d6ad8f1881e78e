//! The exporter behind the span queue. It counts sent and dropped spans, and logs dropped ones at a limited rate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prometheus::{IntCounter, Opts, Registry};

/// The minimum time between two warnings about dropped spans.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The counts of queued, sent and dropped spans.
#[derive(Debug)]
pub(super) struct Counts {
    service: &'static str,
    queue_max: usize,
    /// The spans that were admitted to the queue and are neither sent nor dropped yet. Invariant: at least the length
    /// of the processor's queue, whose capacity is `queue_max`, so that the processor never drops a span uncounted.
    queued: AtomicUsize,
    sent: IntCounter,
    queue_full: IntCounter,
    not_taken: IntCounter,
    log: Mutex<LogState>,
}

/// What was last logged.
#[derive(Debug, Default)]
struct LogState {
    /// When dropped spans were last logged.
    warned: Option<Instant>,
    /// The number of dropped spans at that time.
    dropped: u64,
    /// Whether the last export failed.
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
            sent: IntCounter::new("otel_spans_sent_total", "Spans that their receiver has accepted.")?,
            queue_full: dropped("queue_full")?,
            not_taken: dropped("not_taken")?,
            log: Mutex::default(),
        })
    }

    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let mut all = [&self.sent, &self.queue_full, &self.not_taken].into_iter();
        all.try_for_each(|counter| registry.register(Box::new(counter.clone())))
    }

    /// Reserves room for one span. Returns false, and counts a dropped span, if the queue is full.
    pub fn reserve(&self) -> bool {
        let has_room = self.queued.fetch_add(1, Ordering::AcqRel) < self.queue_max;
        if !has_room {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            self.queue_full.inc();
        }
        has_room
    }

    /// The number of spans that wait or are being sent.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    /// Counts the result of an export and releases the room of its spans.
    fn exported(&self, spans: usize, result: &OTelSdkResult) {
        self.queued.fetch_sub(spans, Ordering::AcqRel);
        let counter = if result.is_ok() { &self.sent } else { &self.not_taken };
        counter.inc_by(spans as u64);
        self.log(result);
    }

    fn log(&self, result: &OTelSdkResult) {
        let (service, dropped) = (self.service, self.queue_full.get() + self.not_taken.get());
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.is_failing && result.is_ok() {
            tracing::info!(service, dropped, "the trace receiver accepts spans again");
        }
        log.is_failing = result.is_err();
        let is_new = dropped > log.dropped;
        if !is_new || log.warned.is_some_and(|warned| warned.elapsed() < WARN_INTERVAL) {
            return;
        }
        (log.warned, log.dropped) = (Some(Instant::now()), dropped);
        match result {
            Ok(()) => tracing::warn!(service, dropped, "spans are dropped: the trace receiver is too slow"),
            Err(error) => tracing::warn!(service, dropped, why = %error, "spans are dropped: sending them failed"),
        }
    }
}

/// Sends spans over OTLP and counts them.
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
        self.counts.exported(spans, &result);
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
    fn a_span_without_room_is_dropped_and_counted_and_an_export_makes_room() {
        let counts = Counts::new("shop", 2).unwrap();
        assert_eq!([(); 3].map(|()| counts.reserve()), [true, true, false]);
        counts.exported(1, &Ok(()));
        counts.exported(1, &Err(OTelSdkError::InternalFailure("away".to_owned())));
        assert!(counts.reserve());
        let metrics = (counts.sent.get(), counts.queue_full.get(), counts.not_taken.get(), counts.queued());
        assert_eq!(metrics, (1, 1, 1, 1));
    }
}
