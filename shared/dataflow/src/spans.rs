//! The spans of a batch, made when it is durable and not before.
//!
//! ```text
//! POST /purchases                       (web)
//! └─ accept                             the way in: from the request's arrival to its commit
//!    └─ send purchases                  its id stands in the fact
//!       └─ process purchases            whoever applies the fact, in whichever process
//!          └─ send outcomes …
//! batch post                            a trace of its own for each commit, linked with what is in it
//! ```
//!
//! Ids of spans are hashes of what is known on both sides, so that nothing but the fact has to travel.

use std::time::SystemTime;

use stage::Target;
use telemetry::attribute::{
    BATCH, BYTES, CLOUDEVENTS_EVENT_TYPE, FRAMES, MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_DESTINATION_NAME,
    MESSAGING_DESTINATION_PARTITION_ID, MESSAGING_MESSAGE_ID, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE,
    MESSAGING_SYSTEM, PARTITION, REQUEST_ID, STAGE, WHY,
};
use telemetry::{KeyValue, Link, Moments, SpanContext, SpanData, SpanEvent, SpanId, SpanKind, TraceId, Traces};

use crate::trail::{Applied, Said, Trail};

/// Links of a batch to what is in it: what the OpenTelemetry specification allows a span by default.
const LINKS_MAX: usize = 128;

/// Makes the spans of one service's batches.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    traces: Traces,
    system: &'static str,
}

impl Spans {
    /// For facts that travel by this system, as `messaging.system` has it.
    pub(crate) fn new(traces: Traces, system: &'static str) -> Self {
        Self { traces, system }
    }

    /// Records what a batch that has become durable did.
    pub(crate) fn committed(&self, trail: &Trail) {
        self.each(trail, SystemTime::now(), |span| self.traces.record(span));
    }

    fn each(&self, trail: &Trail, ended: SystemTime, mut record: impl FnMut(&dyn Fn() -> SpanData)) {
        let (moments, batch) = (Moments::new(trail.began, ended), batch_of(trail));
        for applied in &trail.applied {
            record(&|| self.applied(trail, applied, moments, &batch));
        }
        for said in &trail.said {
            record(&|| self.said(trail, said, moments));
        }
        record(&|| self.batch(trail, moments, batch.clone()));
    }

    fn applied(&self, trail: &Trail, applied: &Applied, moments: Moments, batch: &SpanContext) -> SpanData {
        let Applied { id, kind, cause, from, parent, span, .. } = applied;
        let mut attributes = of_stage(trail, &cause.request_id.0);
        attributes.push(KeyValue::new(CLOUDEVENTS_EVENT_TYPE, *kind));
        let (name, span_kind, moments) = match from {
            // A request has waited since it came in.
            None => (trail.owner.stage.to_string(), SpanKind::Internal, Moments::new(cause.time, moments.ended)),
            Some(target) => {
                attributes.extend(self.of_message(target, &id.0, ("process", &trail.owner.stage)));
                (format!("process {}", target.stream), SpanKind::Consumer, moments)
            }
        };
        let mut span = telemetry::span(name, span_kind, span.clone(), Some(parent), moments, attributes);
        span.links.links.push(Link::new(batch.clone(), Vec::new(), 0));
        span
    }

    fn said(&self, trail: &Trail, said: &Said, moments: Moments) -> SpanData {
        let Said { id, kind, to, by, span } = said;
        let by = &trail.applied[*by];
        let mut attributes = of_stage(trail, &by.cause.request_id.0);
        attributes.push(KeyValue::new(CLOUDEVENTS_EVENT_TYPE, *kind));
        attributes.extend(self.of_message(to, &id.0, ("send", "send")));
        let name = format!("send {}", to.stream);
        telemetry::span(name, SpanKind::Producer, span.clone(), Some(&by.span), moments, attributes)
    }

    fn batch(&self, trail: &Trail, moments: Moments, batch: SpanContext) -> SpanData {
        let number = |name: &'static str, number: usize| KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX));
        let is_way_in = trail.applied.iter().all(|applied| applied.from.is_none());
        let mut attributes = vec![
            KeyValue::new(STAGE, trail.owner.stage.to_string()),
            KeyValue::new(PARTITION, i64::from(trail.owner.partition.0)),
            KeyValue::new(BATCH, i64::try_from(trail.number.0).unwrap_or(i64::MAX)),
            number(MESSAGING_BATCH_MESSAGE_COUNT, trail.facts),
            number(FRAMES, trail.frames),
            number(BYTES, trail.bytes),
        ];
        if !is_way_in {
            attributes.push(KeyValue::new(MESSAGING_SYSTEM, self.system));
            attributes.push(KeyValue::new(MESSAGING_OPERATION_TYPE, "process"));
            attributes.push(KeyValue::new(MESSAGING_OPERATION_NAME, trail.owner.stage.to_string()));
        }
        let kind = if is_way_in { SpanKind::Internal } else { SpanKind::Consumer };
        let mut span = telemetry::span(format!("batch {}", trail.owner.stage), kind, batch, None, moments, attributes);
        let link = |applied: &Applied| {
            Link::new(applied.span.clone(), vec![KeyValue::new(REQUEST_ID, applied.cause.request_id.0.clone())], 0)
        };
        span.links.links = trail.applied.iter().take(LINKS_MAX).map(link).collect();
        span.links.dropped_count = u32::try_from(trail.applied.len().saturating_sub(LINKS_MAX)).unwrap_or(u32::MAX);
        let failed = |(began, why): &(chrono::DateTime<chrono::Utc>, String)| {
            SpanEvent::new("not committed", (*began).into(), vec![KeyValue::new(WHY, why.clone())], 0)
        };
        span.events.events = trail.attempts.kept.iter().map(failed).collect();
        span.events.dropped_count = trail.attempts.dropped;
        span
    }

    fn of_message(&self, target: &Target, id: &str, (kind, name): (&'static str, &str)) -> [KeyValue; 6] {
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

fn of_stage(trail: &Trail, request_id: &str) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(10);
    attributes.push(KeyValue::new(REQUEST_ID, request_id.to_owned()));
    attributes.push(KeyValue::new(STAGE, trail.owner.stage.to_string()));
    attributes.push(KeyValue::new(PARTITION, i64::from(trail.owner.partition.0)));
    attributes
}

/// A batch's trace and span are the beginning of its record's hash: so they can be found from the record.
pub(crate) fn batch_of(trail: &Trail) -> SpanContext {
    let [trace, span] = [0, 16].map(|from| &trail.hash.0[from..]);
    let trace = trace.first_chunk().copied().map_or(TraceId::INVALID, TraceId::from_bytes);
    let span = span.first_chunk().copied().map_or(SpanId::INVALID, SpanId::from_bytes);
    telemetry::sampled(trace, span)
}

#[cfg(test)]
mod tests;
