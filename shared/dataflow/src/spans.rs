//! The spans of a batch, created once it is durable and not before.
//!
//! ```text
//! POST /purchases                       (web)
//! └─ accept                             the ingress stage: from the request's arrival to its commit
//!    └─ send purchases                  the fact carries its id
//!       └─ process purchases            each owner that applies the fact, in any process
//!          └─ send outcomes …
//! batch post                            a separate trace for each commit, linked with its facts
//! ```
//!
//! Span ids are hashes of data known on both sides, so that nothing but the fact has to travel.

use std::time::SystemTime;

use stage::StreamPartition;
use telemetry::attribute::{
    BATCH, BYTES, CLOUDEVENTS_EVENT_TYPE, FRAMES, MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_DESTINATION_NAME,
    MESSAGING_DESTINATION_PARTITION_ID, MESSAGING_MESSAGE_ID, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE,
    MESSAGING_SYSTEM, PARTITION, REQUEST_ID, STAGE, WHY,
};
use telemetry::{KeyValue, Link, Moments, SpanContext, SpanData, SpanEvent, SpanId, SpanKind, TraceId, Traces};

use crate::batch_trace::{BatchTrace, TracedInput, TracedOutput};

/// The maximum number of links from a batch to its inputs: the default limit of the OpenTelemetry specification.
pub const LINKS_MAX: usize = 128;

/// Creates the spans of one service's batches.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    traces: Traces,
    system: &'static str,
}

impl Spans {
    /// Spans of facts that travel over this system, which is the value of `messaging.system`.
    pub fn new(traces: Traces, system: &'static str) -> Self {
        Self { traces, system }
    }

    /// Records the spans of a batch that has become durable.
    pub(crate) fn committed(&self, batch_trace: &BatchTrace) {
        self.each(batch_trace, SystemTime::now(), |span| self.traces.record(span));
    }

    /// Passes each span of a committed batch to `record`.
    pub fn each(&self, batch_trace: &BatchTrace, ended: SystemTime, mut record: impl FnMut(&dyn Fn() -> SpanData)) {
        let (moments, batch) = (Moments::new(batch_trace.began, ended), batch_of(batch_trace));
        for applied in &batch_trace.applied {
            record(&|| self.applied(batch_trace, applied, moments, &batch));
        }
        for emitted in &batch_trace.emitted {
            record(&|| self.emitted(batch_trace, emitted, moments));
        }
        record(&|| self.batch(batch_trace, moments, batch.clone()));
    }

    fn applied(
        &self,
        batch_trace: &BatchTrace,
        applied: &TracedInput,
        moments: Moments,
        batch: &SpanContext,
    ) -> SpanData {
        let TracedInput { id, kind, cause, from, parent, span, .. } = applied;
        let mut attributes = of_stage(batch_trace, &cause.request_id.0);
        attributes.push(KeyValue::new(CLOUDEVENTS_EVENT_TYPE, *kind));
        let (name, span_kind, moments) = match from {
            // A request has waited since its arrival.
            None => (batch_trace.owner.stage.to_string(), SpanKind::Internal, Moments::new(cause.time, moments.ended)),
            Some(target) => {
                attributes.extend(self.of_message(target, &id.0, ("process", &batch_trace.owner.stage)));
                (format!("process {}", target.stream), SpanKind::Consumer, moments)
            }
        };
        let mut span = telemetry::span(name, span_kind, span.clone(), Some(parent), moments, attributes);
        span.links.links.push(Link::new(batch.clone(), Vec::new(), 0));
        span
    }

    fn emitted(&self, batch_trace: &BatchTrace, emitted: &TracedOutput, moments: Moments) -> SpanData {
        let TracedOutput { id, kind, to, by, span } = emitted;
        let by = &batch_trace.applied[*by];
        let mut attributes = of_stage(batch_trace, &by.cause.request_id.0);
        attributes.push(KeyValue::new(CLOUDEVENTS_EVENT_TYPE, *kind));
        attributes.extend(self.of_message(to, &id.0, ("send", "send")));
        let name = format!("send {}", to.stream);
        telemetry::span(name, SpanKind::Producer, span.clone(), Some(&by.span), moments, attributes)
    }

    fn batch(&self, batch_trace: &BatchTrace, moments: Moments, batch: SpanContext) -> SpanData {
        let number = |name: &'static str, number: usize| KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX));
        let is_ingress = batch_trace.applied.iter().all(|applied| applied.from.is_none());
        let mut attributes = vec![
            KeyValue::new(STAGE, batch_trace.owner.stage.to_string()),
            KeyValue::new(PARTITION, i64::from(batch_trace.owner.partition.0)),
            KeyValue::new(BATCH, i64::try_from(batch_trace.number.0).unwrap_or(i64::MAX)),
            number(MESSAGING_BATCH_MESSAGE_COUNT, batch_trace.facts),
            number(FRAMES, batch_trace.frames),
            number(BYTES, batch_trace.bytes),
        ];
        if !is_ingress {
            attributes.push(KeyValue::new(MESSAGING_SYSTEM, self.system));
            attributes.push(KeyValue::new(MESSAGING_OPERATION_TYPE, "process"));
            attributes.push(KeyValue::new(MESSAGING_OPERATION_NAME, batch_trace.owner.stage.to_string()));
        }
        let kind = if is_ingress { SpanKind::Internal } else { SpanKind::Consumer };
        let mut span =
            telemetry::span(format!("batch {}", batch_trace.owner.stage), kind, batch, None, moments, attributes);
        let link = |applied: &TracedInput| {
            Link::new(applied.span.clone(), vec![KeyValue::new(REQUEST_ID, applied.cause.request_id.0.clone())], 0)
        };
        span.links.links = batch_trace.applied.iter().take(LINKS_MAX).map(link).collect();
        span.links.dropped_count =
            u32::try_from(batch_trace.applied.len().saturating_sub(LINKS_MAX)).unwrap_or(u32::MAX);
        let failed = |(began, why): &(chrono::DateTime<chrono::Utc>, String)| {
            SpanEvent::new("not committed", (*began).into(), vec![KeyValue::new(WHY, why.clone())], 0)
        };
        span.events.events = batch_trace.attempts.kept.iter().map(failed).collect();
        span.events.dropped_count = batch_trace.attempts.dropped;
        span
    }

    fn of_message(&self, target: &StreamPartition, id: &str, (kind, name): (&'static str, &str)) -> [KeyValue; 6] {
        [
            KeyValue::new(MESSAGING_SYSTEM, self.system),
            KeyValue::new(MESSAGING_DESTINATION_NAME, target.stream.to_string()),
            KeyValue::new(MESSAGING_DESTINATION_PARTITION_ID, target.partition.0.to_string()),
            KeyValue::new(MESSAGING_OPERATION_TYPE, kind),
            KeyValue::new(MESSAGING_OPERATION_NAME, name.to_owned()),
            KeyValue::new(MESSAGING_MESSAGE_ID, id.to_owned()),
        ]
    }
}

fn of_stage(batch_trace: &BatchTrace, request_id: &str) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(10);
    attributes.push(KeyValue::new(REQUEST_ID, request_id.to_owned()));
    attributes.push(KeyValue::new(STAGE, batch_trace.owner.stage.to_string()));
    attributes.push(KeyValue::new(PARTITION, i64::from(batch_trace.owner.partition.0)));
    attributes
}

/// The span context of a batch: its trace and span ids are the first bytes of its record's hash, so that they can be
/// derived from the record.
pub(crate) fn batch_of(batch_trace: &BatchTrace) -> SpanContext {
    let [trace, span] = [0, 16].map(|from| &batch_trace.hash.0[from..]);
    let trace = trace.first_chunk().copied().map_or(TraceId::INVALID, TraceId::from_bytes);
    let span = span.first_chunk().copied().map_or(SpanId::INVALID, SpanId::from_bytes);
    telemetry::sampled(trace, span)
}
