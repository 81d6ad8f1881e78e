use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::SystemTime;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use telemetry::{KeyValue, Link, Moments, SpanContext, SpanData, SpanKind, Traces, attribute, span};

use crate::{Shell, Traceparent};

/// The traces of a batch request, one for each line. A handler takes it as an argument and keeps it until all lines
/// have a result.
///
/// Each line is a trace of its own, because a single trace of a thousand lines would be unreadable. The root span of a
/// line lasts as long as the batch request and links to it. The sampling decision of the caller applies to all lines;
/// without one, each line is sampled on its own.
pub struct Lines {
    request: Traceparent,
    caller: Option<bool>,
    traces: Traces,
    name: String,
    began: SystemTime,
    open: Vec<Line>,
}

struct Line {
    number: usize,
    request_id: String,
    context: SpanContext,
}

impl Lines {
    /// The trace of the request on a line; `number` is the line number.
    pub fn trace(&mut self, number: usize, request_id: &str) -> Traceparent {
        if !self.traces.is_on() {
            return self.request.clone();
        }
        let own = Traceparent::random().sampled(true);
        let context = own.context(false);
        if !self.traces.samples(context.trace_id(), self.caller) {
            return self.request.sampled(false);
        }
        self.open.push(Line { number, request_id: request_id.to_owned(), context });
        own
    }

    fn span(&self, line: &Line, ended: SystemTime) -> SpanData {
        let attributes = vec![
            KeyValue::new(attribute::REQUEST_ID, line.request_id.clone()),
            KeyValue::new(attribute::LINE, i64::try_from(line.number).unwrap_or(i64::MAX)),
        ];
        let moments = Moments::new(self.began, ended);
        let mut span = span(self.name.clone(), SpanKind::Internal, line.context.clone(), None, moments, attributes);
        span.links.links.push(Link::new(self.request.context(false), Vec::new(), 0));
        span
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let ended = SystemTime::now();
        self.open.iter().for_each(|line| self.traces.record(|| self.span(line, ended)));
    }
}

impl FromRequest for Lines {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let traces = request.app_data().map(|shell: &Shell| shell.traces.clone()).unwrap_or_default();
        let caller = Traceparent::of_caller(request.headers()).map(|caller| caller.is_sampled());
        let name = format!("{} {} line", request.method(), request.match_pattern().unwrap_or_default());
        let of = |request| Self { request, caller, traces, name, began: SystemTime::now(), open: Vec::new() };
        ready(Traceparent::from_request(request, payload).into_inner().map(of))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn without_tracing_every_line_has_the_trace_of_its_batch() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = TestRequest::default().insert_header(("traceparent", header)).to_http_request();
        let mut lines = Lines::from_request(&request, &mut Payload::None).into_inner().unwrap();
        assert_eq!([1, 2].map(|number| lines.trace(number, "r").to_string()), [header; 2]);
        assert!(lines.open.is_empty());
    }
}
