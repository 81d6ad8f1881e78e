//! Traces of one service, sent to whoever takes OTLP.
//!
//! Spans come here finished: whoever makes them knows their ids, most of which are hashes that stand in the facts
//! already. What is not sampled never gets here.
//!
//! Guarantee: recording never waits. Between a service and the exporter's thread is a queue of a fixed length; when it
//! is full, because the receiver is slow or away, spans are dropped and counted, not even made. At the end
//! [`Traces::stop`] sends what is left, for a while.

mod exporter;
mod settings;
mod span;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingDecision, ShouldSample as _, SpanData, SpanProcessor as _,
};
use prometheus::Registry;

use self::exporter::{Counts, Exporter};
use self::settings::{Sampling, Sending};

pub use self::settings::{BadTraceSetting, TraceSettings};
pub use self::span::{Moments, attribute, context, sampled, span};

/// What is left at the end is sent for so long. A process that is asked to stop may be killed after ten seconds, and
/// finishing its work comes first.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The traces of one service: on or off. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<On>>);

#[derive(Debug)]
struct On {
    service: &'static str,
    sampling: Sampling,
    processor: BatchSpanProcessor,
    counts: Arc<Counts>,
}

impl Traces {
    /// Nothing is recorded.
    pub fn off() -> Self {
        Self::default()
    }

    /// As the settings say. What is sent names this service, unless `OTEL_SERVICE_NAME` names another.
    ///
    /// # Errors
    /// When the exporter cannot be made.
    pub fn start(service: &'static str, settings: &TraceSettings) -> Result<Self, BadTraceSetting> {
        let Some(Sending { sampling, queue_max }) = settings.sending else {
            return Ok(Self::off());
        };
        let counts = Arc::new(Counts::new(service, queue_max)?);
        let exporter = SpanExporter::builder().with_http().build();
        let exporter = exporter.map_err(|_| BadTraceSetting::Exporter)?;
        let config = BatchConfigBuilder::default().with_max_queue_size(queue_max).build();
        let mut processor = BatchSpanProcessor::new(Exporter::new(exporter, counts.clone()), config);
        processor.set_resource(&resource(service));
        Ok(Self(Some(Arc::new(On { service, sampling, processor, counts }))))
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a trace that comes in here is to be recorded. `caller` is what whoever asks has decided, if he did.
    pub fn samples(&self, trace: TraceId, caller: Option<bool>) -> bool {
        self.0.as_ref().is_some_and(|on| on.sampling.samples(trace, caller))
    }

    /// Records a span, if there is room for it. Only then is it made.
    pub fn record(&self, span: impl FnOnce() -> SpanData) {
        if let Some(on) = &self.0
            && on.counts.enters()
        {
            on.processor.on_end(span());
        }
    }

    /// Adds `otel_spans_sent_total` and `otel_spans_dropped_total` to a registry, when traces are on.
    ///
    /// # Errors
    /// When the registry already has one of those names.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.0.as_ref().map_or(Ok(()), |on| on.counts.register(registry))
    }

    /// Sends what is left of several services, for at most one and a half seconds. Nothing can be recorded afterwards.
    pub async fn stop(all: Vec<Traces>) {
        let stop = |on: Arc<On>| tokio::task::spawn_blocking(move || on.stop());
        let stopping: Vec<_> = all.into_iter().filter_map(|traces| traces.0).map(stop).collect();
        for stopped in stopping {
            // A panic there is no reason for one here.
            let _ended = stopped.await;
        }
    }
}

impl On {
    fn stop(&self) {
        // Why it failed is logged by the exporter, or there is no answer.
        let _sent = self.processor.shutdown_with_timeout(STOP_TIMEOUT);
        let (service, spans) = (self.service, self.counts.queued());
        if spans > 0 {
            tracing::warn!(service, spans, "spans were not sent before the end");
        }
    }
}

impl Sampling {
    fn samples(self, trace: TraceId, caller: Option<bool>) -> bool {
        if let Some(decided) = caller.filter(|_| self.follows_caller) {
            return decided;
        }
        let sampler = Sampler::TraceIdRatioBased(self.ratio);
        sampler.should_sample(None, trace, "", &SpanKind::Server, &[], &[]).decision
            == SamplingDecision::RecordAndSample
    }
}

/// The SDK's own resource, with the service's name unless the environment gives one.
fn resource(service: &'static str) -> Resource {
    let found = Resource::builder().build();
    let name = found.iter().find(|(key, _)| key.as_str() == attribute::SERVICE_NAME).map(|(_, name)| name.as_str());
    let is_given = name.is_some_and(|name| !name.starts_with("unknown_service"));
    let builder = Resource::builder();
    let builder = if is_given { builder } else { builder.with_service_name(service) };
    let version = opentelemetry::KeyValue::new(attribute::SERVICE_VERSION, env!("CARGO_PKG_VERSION"));
    builder.with_attribute(version).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: TraceId = TraceId::from_bytes([0xff; 16]);

    fn check(ratio: f64, follows_caller: bool, expected: [bool; 3]) {
        let sampling = Sampling { ratio, follows_caller };
        let found = [None, Some(true), Some(false)].map(|caller| sampling.samples(ROOT, caller));
        assert_eq!(found, expected, "{sampling:?}");
    }

    #[test]
    fn the_caller_decides_where_he_is_followed_and_the_ratio_else() {
        check(1.0, true, [true, true, false]);
        check(0.0, true, [false, true, false]);
        check(1.0, false, [true, true, true]);
        check(0.0, false, [false, false, false]);
    }

    #[test]
    fn a_ratio_takes_its_share_of_all_traces() {
        let sampling = Sampling { ratio: 0.25, follows_caller: true };
        let mut bytes = [7; 16];
        let taken = (0..=255).filter(|high| {
            bytes[8] = *high;
            sampling.samples(TraceId::from_bytes(bytes), None)
        });
        assert_eq!(taken.count(), 64);
    }

    #[test]
    fn off_nothing_is_made_and_nothing_sampled() {
        let traces = Traces::off();
        traces.record(|| unreachable!());
        assert!(!traces.is_on() && !traces.samples(ROOT, Some(true)));
    }
}
