//! The span of a request, from its head to the start of its answer.

use std::time::SystemTime;

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use telemetry::{KeyValue, Moments, SpanData, SpanKind, Status, Traces, attribute, span};

use crate::{IdempotencyKey, Shell, Traceparent, metrics};

/// A span that has begun, or none when this request is not traced. Dropped before its end, because whoever asked has
/// gone, it ends without an answer.
pub(crate) struct Open {
    traces: Traces,
    span: Option<SpanData>,
}

impl Open {
    /// Decides whether the request is traced. What the facts of the request name as their step is the span, if there is
    /// one, else what the caller said, or a trace that nobody records.
    pub fn begin(request: &ServiceRequest, key: Option<&IdempotencyKey>, is_quiet: bool) -> (Traceparent, Self) {
        let traces = request.app_data().map(|shell: &Shell| shell.traces.clone()).unwrap_or_default();
        let caller = Traceparent::of_caller(request.headers());
        let step = caller.clone().unwrap_or_else(Traceparent::random);
        if is_quiet || !traces.is_on() {
            return (step, Self { traces, span: None });
        }
        let decided = caller.as_ref().map(Traceparent::is_sampled);
        let is_sampled = traces.samples(step.context(true).trace_id(), decided);
        let step = step.sampled(is_sampled);
        if !is_sampled {
            return (step, Self { traces, span: None });
        }
        let own = step.child();
        let span = begun(request, key, &own, caller.as_ref());
        (own, Self { traces, span: Some(span) })
    }

    /// It is answered.
    pub fn end(mut self, status: StatusCode) {
        if let Some(span) = &mut self.span {
            span.attributes.push(KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
            if status.is_server_error() {
                fail(span, status.as_str().to_owned());
            }
        }
        self.close();
    }

    fn close(&mut self) {
        if let Some(span) = self.span.take() {
            self.traces.record(|| SpanData { end_time: SystemTime::now().max(span.start_time), ..span });
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span {
            fail(span, "unanswered".to_owned());
        }
        self.close();
    }
}

fn fail(span: &mut SpanData, kind: String) {
    span.attributes.push(KeyValue::new(attribute::ERROR_TYPE, kind));
    span.status = Status::error("");
}

/// The path and the query are left out: customers' names are in them. The route says enough.
fn begun(
    request: &ServiceRequest,
    key: Option<&IdempotencyKey>,
    own: &Traceparent,
    parent: Option<&Traceparent>,
) -> SpanData {
    let (method, route, at) =
        (metrics::known(request.method()), request.match_pattern(), request.app_config().local_addr());
    // Without one of the client's, handlers that need an id take the trace's.
    let request_id = key.map_or_else(|| own.trace_id().to_owned(), |key| key.as_str().to_owned());
    let mut attributes = vec![
        KeyValue::new(attribute::HTTP_REQUEST_METHOD, if method == metrics::OTHER { "_OTHER" } else { method }),
        KeyValue::new(attribute::URL_SCHEME, "http"),
        KeyValue::new(attribute::SERVER_ADDRESS, at.ip().to_string()),
        KeyValue::new(attribute::SERVER_PORT, i64::from(at.port())),
        KeyValue::new(attribute::REQUEST_ID, request_id),
    ];
    let verb = if method == metrics::OTHER { "HTTP" } else { method };
    let name = route.as_ref().map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}"));
    attributes.extend(route.map(|route| KeyValue::new(attribute::HTTP_ROUTE, route)));
    let (now, parent) = (SystemTime::now(), parent.map(|parent| parent.context(true)));
    span(name, SpanKind::Server, own.context(false), parent.as_ref(), Moments::new(now, now), attributes)
}
