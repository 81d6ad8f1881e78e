//! Traces of a service, sent to an OTLP receiver.
//!
//! Callers record only finished spans of sampled traces. They know the span ids, most of which are hashes that the
//! facts already carry.
//!
//! Guarantee: recording never blocks. A bounded queue decouples the service from the exporter's thread. When the queue
//! is full, because the receiver is slow or unavailable, spans are counted and dropped before they are built. On
//! shutdown [`Traces::stop`] sends the remaining spans, within a time limit.

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

/// The time limit for sending the remaining spans on shutdown. A process may be killed ten seconds after the request to
/// stop, and finishing its work comes first.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The trace recorder of one service: on or off. Clones share its state.
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
    /// A recorder that records nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Starts recording according to the settings. Spans carry the name `service`, unless `OTEL_SERVICE_NAME` sets
    /// another one.
    ///
    /// # Errors
    /// When the exporter cannot be created.
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

    /// Whether spans are recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether to record an incoming trace. `caller` is the sampling decision of the caller, if there is one.
    pub fn samples(&self, trace: TraceId, caller: Option<bool>) -> bool {
        self.0.as_ref().is_some_and(|on| on.sampling.samples(trace, caller))
    }

    /// Records a span if the queue has room, and drops it otherwise. Only a span that is recorded is built.
    pub fn record(&self, span: impl FnOnce() -> SpanData) {
        if let Some(on) = &self.0
            && on.counts.reserve()
        {
            on.processor.on_end(span());
        }
    }

    /// Registers `otel_spans_sent_total` and `otel_spans_dropped_total` if traces are on.
    ///
    /// # Errors
    /// When the registry already contains a metric with one of these names.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.0.as_ref().map_or(Ok(()), |on| on.counts.register(registry))
    }

    /// Sends the remaining spans of several services, for at most 1.5 seconds. Nothing is recorded afterwards.
    pub async fn stop(all: Vec<Traces>) {
        let stop = |on: Arc<On>| tokio::task::spawn_blocking(move || on.stop());
        let stopping: Vec<_> = all.into_iter().filter_map(|traces| traces.0).map(stop).collect();
        for stopped in stopping {
            // Ignore a panic of the task: traces must not break the shutdown.
            let _ignored = stopped.await;
        }
    }
}

impl On {
    fn stop(&self) {
        // Ignore the result: the exporter has logged a failure, and a timeout shows in the number of unsent spans.
        let _ignored = self.processor.shutdown_with_timeout(STOP_TIMEOUT);
        let (service, spans) = (self.service, self.counts.queued());
        if spans > 0 {
            tracing::warn!(service, spans, "spans were not sent before shutdown");
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

/// The SDK's default resource, with the name `service` unless the environment sets one.
fn resource(service: &'static str) -> Resource {
    let default_resource = Resource::builder().build();
    let name =
        default_resource.iter().find(|(key, _)| key.as_str() == attribute::SERVICE_NAME).map(|(_, name)| name.as_str());
    let is_set = name.is_some_and(|name| !name.starts_with("unknown_service"));
    let builder = Resource::builder();
    let builder = if is_set { builder } else { builder.with_service_name(service) };
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
    fn a_parent_based_sampler_uses_the_caller_s_decision_and_otherwise_the_ratio() {
        check(1.0, true, [true, true, false]);
        check(0.0, true, [false, true, false]);
        check(1.0, false, [true, true, true]);
        check(0.0, false, [false, false, false]);
    }

    #[test]
    fn a_ratio_samples_its_share_of_all_traces() {
        let sampling = Sampling { ratio: 0.25, follows_caller: true };
        let mut bytes = [7; 16];
        let sampled = (0..=255).filter(|high| {
            bytes[8] = *high;
            sampling.samples(TraceId::from_bytes(bytes), None)
        });
        assert_eq!(sampled.count(), 64);
    }

    #[test]
    fn when_traces_are_off_no_span_is_built_or_sampled() {
        let traces = Traces::off();
        traces.record(|| unreachable!());
        assert!(!traces.is_on() && !traces.samples(ROOT, Some(true)));
    }
}
