//! The span of a request, from its head to the start of its response.

use std::time::SystemTime;

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpRequest};
use telemetry::{KeyValue, Moments, SpanData, SpanKind, Status, Traces, attribute, span};

use crate::{IdempotencyKey, Shell, Traceparent, metrics};

/// The open span of a request, or nothing if the request is not traced. If it is dropped before [`Open::end`] because
/// the client has disconnected, the span ends with the error type `unanswered`.
pub(crate) struct Open {
    traces: Traces,
    span: Option<SpanData>,
}

impl Open {
    /// Decides whether the request is traced, and opens its span. The returned trace context goes into the facts of the
    /// request: it names the span if there is one, else the caller's span, else a new trace that is not recorded.
    pub fn begin(
        request: &ServiceRequest,
        route: Option<&str>,
        key: Option<&IdempotencyKey>,
        is_quiet: bool,
    ) -> (Traceparent, Self) {
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
        let span = begin_span(request, route, key, &own, caller.as_ref());
        (own, Self { traces, span: Some(span) })
    }

    /// Ends the span with the status of the response.
    pub fn end(mut self, status: StatusCode) {
        self.span.iter_mut().for_each(|span| set_status(span, status));
        self.close();
    }

    fn set_request_id(&mut self, request_id: &str) {
        let attributes = self.span.iter_mut().flat_map(|span| &mut span.attributes);
        let known = attributes.into_iter().find(|known| known.key.as_str() == attribute::REQUEST_ID);
        known.into_iter().for_each(|known| known.value = request_id.to_owned().into());
    }

    fn close(&mut self) {
        if let Some(span) = self.span.take() {
            self.traces.record(|| SpanData { end_time: SystemTime::now().max(span.start_time), ..span });
        }
    }
}

/// Records the id that a handler has generated for a request without an idempotency key, in the log and in the span.
pub fn name_request(request: &HttpRequest, request_id: &str) {
    tracing::Span::current().record("request_id", request_id);
    if let Some(open) = request.extensions_mut().get_mut::<Open>() {
        open.set_request_id(request_id);
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

fn set_status(span: &mut SpanData, status: StatusCode) {
    span.attributes.push(KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
    if status.is_server_error() {
        fail(span, status.as_str().to_owned());
    }
}

fn fail(span: &mut SpanData, kind: String) {
    span.attributes.push(KeyValue::new(attribute::ERROR_TYPE, kind));
    span.status = Status::error("");
}

/// A new span. It leaves out the path and the query, which contain customer names; the route is enough.
fn begin_span(
    request: &ServiceRequest,
    route: Option<&str>,
    key: Option<&IdempotencyKey>,
    own: &Traceparent,
    parent: Option<&Traceparent>,
) -> SpanData {
    let method = metrics::known(request.method());
    let address = request.app_data().and_then(|shell: &Shell| shell.address);
    // Without an idempotency key, handlers that need an id use the trace id or call `name_request`.
    let request_id = key.map_or_else(|| own.trace_id().to_owned(), |key| key.as_str().to_owned());
    let mut attributes = vec![
        KeyValue::new(attribute::HTTP_REQUEST_METHOD, if method == metrics::OTHER { "_OTHER" } else { method }),
        KeyValue::new(attribute::URL_SCHEME, "http"),
        KeyValue::new(attribute::REQUEST_ID, request_id),
    ];
    let verb = if method == metrics::OTHER { "HTTP" } else { method };
    let name = route.map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}"));
    attributes.extend(route.map(|route| KeyValue::new(attribute::HTTP_ROUTE, route.to_owned())));
    attributes.extend(address.map(|at| KeyValue::new(attribute::SERVER_ADDRESS, at.ip().to_string())));
    attributes.extend(address.map(|at| KeyValue::new(attribute::SERVER_PORT, i64::from(at.port()))));
    let (now, parent) = (SystemTime::now(), parent.map(|parent| parent.context(true)));
    span(name, SpanKind::Server, own.context(false), parent.as_ref(), Moments::new(now, now), attributes)
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::test::TestRequest;

    use super::*;

    fn text(span: &SpanData, name: &str) -> Option<String> {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        found.map(|attribute| attribute.value.to_string())
    }

    fn span_of(method: &str) -> SpanData {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = TestRequest::with_uri("/accounts/secret?after=secret").method(method).to_srv_request();
        let caller = Traceparent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        begin_span(&request, None, None, &caller.child(), Some(&caller))
    }

    #[test]
    fn a_span_is_the_callers_child_and_never_shows_a_path() {
        let span = span_of("GET");
        assert_eq!((span.name.as_ref(), span.span_kind.clone()), ("GET", SpanKind::Server));
        assert_eq!((span.parent_span_id.to_string().as_str(), span.parent_span_is_remote), ("00f067aa0ba902b7", true));
        assert_eq!(text(&span, attribute::REQUEST_ID).unwrap(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(text(&span, attribute::HTTP_ROUTE), None, "no route matches");
        assert!(!format!("{span:?}").contains("secret"));
    }

    #[test]
    fn a_request_can_be_named_later() {
        let request = TestRequest::default().to_http_request();
        name_request(&request, "not-traced");
        request.extensions_mut().insert(Open { traces: Traces::default(), span: Some(span_of("POST")) });
        name_request(&request, "claim-7");
        let extensions = request.extensions();
        let span = extensions.get::<Open>().and_then(|open| open.span.as_ref()).unwrap();
        assert_eq!(text(span, attribute::REQUEST_ID).unwrap(), "claim-7");
    }

    #[test]
    fn an_unknown_method_is_not_recorded() {
        let span = span_of("STEAL");
        assert_eq!(
            (span.name.as_ref(), text(&span, attribute::HTTP_REQUEST_METHOD).unwrap().as_str()),
            ("HTTP", "_OTHER")
        );
        assert!(!format!("{span:?}").contains("STEAL"));
    }

    #[test]
    fn only_a_server_error_is_an_error_of_the_span() {
        let end_with = |status: u16| {
            let mut span = span_of("GET");
            set_status(&mut span, StatusCode::from_u16(status).unwrap());
            assert_eq!(text(&span, attribute::HTTP_RESPONSE_STATUS_CODE), Some(status.to_string()));
            (span.status == Status::error(""), text(&span, attribute::ERROR_TYPE))
        };
        assert_eq!([201, 404, 429].map(end_with), [(false, None), (false, None), (false, None)]);
        assert_eq!(end_with(503), (true, Some("503".to_owned())));
    }
}
