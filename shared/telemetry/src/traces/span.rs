use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Attribute names: those of the OpenTelemetry semantic conventions, and our own where the conventions have none.
pub mod attribute {
    pub use opentelemetry_semantic_conventions::attribute::{
        CLOUDEVENTS_EVENT_TYPE, ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
        MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_DESTINATION_NAME, MESSAGING_DESTINATION_PARTITION_ID,
        MESSAGING_MESSAGE_ID, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM, SERVER_ADDRESS,
        SERVER_PORT, SERVICE_NAME, SERVICE_VERSION, URL_SCHEME,
    };

    /// The client's id of the request that started the trace.
    pub const REQUEST_ID: &str = "unbundled.request_id";
    /// The stage.
    pub const STAGE: &str = "unbundled.stage";
    /// The partition of the stage.
    pub const PARTITION: &str = "unbundled.partition";
    /// The number of the batch record.
    pub const BATCH: &str = "unbundled.batch";
    /// The number of frames that a batch emits.
    pub const FRAMES: &str = "unbundled.frames";
    /// The size of the frame bodies, in bytes.
    pub const BYTES: &str = "unbundled.bytes";
    /// The reason why a commit failed.
    pub const WHY: &str = "unbundled.why";
    /// The line number in a batch request, counted from 1.
    pub const LINE: &str = "unbundled.line";
}

/// The start and end of a span.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// The start time.
    pub began: SystemTime,
    /// The end time; never before `began`.
    pub ended: SystemTime,
}

impl Moments {
    /// Combines start and end. If `ended` is earlier, because the clock was set back, it becomes equal to `began`.
    pub fn new(began: impl Into<SystemTime>, ended: impl Into<SystemTime>) -> Self {
        let (began, ended) = (began.into(), ended.into());
        Self { began, ended: ended.max(began) }
    }
}

/// Parses a `traceparent` of version 00. `None` if it is invalid.
pub fn context(traceparent: &str, is_remote: bool) -> Option<SpanContext> {
    let part = |range| traceparent.get(range);
    if traceparent.len() != 55 {
        return None;
    }
    let trace = TraceId::from_hex(part(3..35)?).ok()?;
    let span = SpanId::from_hex(part(36..52)?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(part(53..55)?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, is_remote, TraceState::NONE)).filter(SpanContext::is_valid)
}

/// The context of a span in a sampled trace, created by this process.
pub fn sampled(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

/// Creates a span without links, events and status.
pub fn span(
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    context: SpanContext,
    parent: Option<&SpanContext>,
    moments: Moments,
    attributes: Vec<KeyValue>,
) -> SpanData {
    SpanData {
        span_context: context,
        parent_span_id: parent.map_or(SpanId::INVALID, SpanContext::span_id),
        parent_span_is_remote: parent.is_some_and(SpanContext::is_remote),
        span_kind: kind,
        name: name.into(),
        start_time: moments.began,
        end_time: moments.ended,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("unbundled")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, bool)>) {
        let found = context(text, true);
        let found = found.map(|c| (c.trace_id().to_string(), c.span_id().to_string(), c.is_sampled()));
        assert_eq!(found, expected.map(|(trace, span, sampled)| (trace.into(), span.into(), sampled)), "{text}");
    }

    #[test]
    fn a_valid_traceparent_is_parsed_and_any_other_text_is_refused() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        check(&format!("00-{trace}-{span}-01"), Some((trace, span, true)));
        check(&format!("00-{trace}-{span}-02"), Some((trace, span, false)));
        check(&format!("00-{trace}-{}-01", "0".repeat(16)), None);
        check("00-1-2-01", None);
        check(&format!("00-{}ää-{span}-01", &trace[4..]), None);
    }

    #[test]
    fn a_span_never_ends_before_it_begins() {
        let now = SystemTime::now();
        let moments = Moments::new(now, now - std::time::Duration::from_secs(1));
        assert_eq!(moments.began, moments.ended);
    }
}
