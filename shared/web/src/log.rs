//! One span per request, and one line in it when it is answered.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use tracing::{Span, debug, info, warn};
use tracing_actix_web::RootSpanBuilder;

use crate::span::Open;
use crate::{IdempotencyKey, Shell, metrics};

/// Asked every few seconds by machines: logged at debug level only, and never traced.
const QUIET: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

pub(crate) struct RequestSpan;

#[derive(Clone, Copy)]
struct Received(Instant);

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let key = IdempotencyKey::of(request.headers()).ok().flatten();
        let service = request.app_data().map_or("", |shell: &Shell| shell.name);
        let is_quiet = is_quiet(request.path());
        let (traceparent, open) = Open::begin(request, key.as_ref(), is_quiet);
        macro_rules! span {
            ($level:ident) => {
                tracing::span!(
                    tracing::Level::$level,
                    "request",
                    service,
                    method = request.method().as_str(),
                    route = metrics::route(request),
                    // Empty without a key: who makes an id for the request records it.
                    request_id = key.as_ref().map(IdempotencyKey::as_str),
                    trace_id = traceparent.trace_id(),
                    status = tracing::field::Empty,
                )
            };
        }
        // At error level the span is there whatever the filter: also a lone warning needs its ids.
        let span = if is_quiet { span!(DEBUG) } else { span!(ERROR) };
        request.extensions_mut().insert(Received(Instant::now()));
        request.extensions_mut().insert(traceparent);
        request.extensions_mut().insert(open);
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                span.record("status", error.as_response_error().status_code().as_u16());
                return warn!("answered by a failing middleware");
            }
        };
        let (request, status) = (response.request(), response.status());
        span.record("status", status.as_u16());
        let open = request.extensions_mut().remove::<Open>();
        open.into_iter().for_each(|open| open.end(status));
        let received = request.extensions().get::<Received>().copied();
        let elapsed_us = received.map(|received| u64::try_from(received.0.elapsed().as_micros()).unwrap_or(u64::MAX));
        if is_quiet(request.path()) {
            debug!(elapsed_us, "answered");
        } else if status.is_server_error() {
            warn!(elapsed_us, "answered");
        } else {
            info!(elapsed_us, "answered");
        }
    }
}

fn is_quiet(path: &str) -> bool {
    QUIET.contains(&path)
}
