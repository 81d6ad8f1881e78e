//! One span per request. When the response begins, the request gets its log line and is counted in the metrics.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use tracing::{Span, debug, warn};
use tracing_actix_web::RootSpanBuilder;

use crate::span::Open;
use crate::{IdempotencyKey, Shell, metrics};

/// Paths that monitoring requests every few seconds. They are logged at debug level, even failures, and never traced.
const QUIET: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

pub(crate) struct RequestSpan;

/// A request that has no response yet.
struct Received {
    at: Instant,
    route: Option<String>,
}

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let key = IdempotencyKey::of(request.headers()).ok().flatten();
        let service = request.app_data().map_or("", |shell: &Shell| shell.name);
        let (route, is_quiet) = (request.match_pattern(), is_quiet(request.path()));
        let (traceparent, open) = Open::begin(request, route.as_deref(), key.as_ref(), is_quiet);
        macro_rules! span {
            ($level:ident) => {
                tracing::span!(
                    tracing::Level::$level,
                    "request",
                    service,
                    method = request.method().as_str(),
                    route = route.as_deref().unwrap_or(metrics::UNMATCHED),
                    // Empty without a key: `name_request` records the id of a request that gets one later.
                    request_id = key.as_ref().map(IdempotencyKey::as_str),
                    trace_id = traceparent.trace_id(),
                    status = tracing::field::Empty,
                )
            };
        }
        // Error level keeps the span under every filter: a single warning needs the ids of its request, too.
        let span = if is_quiet { span!(DEBUG) } else { span!(ERROR) };
        let mut extensions = request.extensions_mut();
        extensions.insert(Received { at: Instant::now(), route });
        extensions.insert(traceparent);
        extensions.insert(open);
        drop(extensions);
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                span.record("status", error.as_response_error().status_code().as_u16());
                return warn!("request answered: a middleware failed");
            }
        };
        let (request, status) = (response.request(), response.status());
        span.record("status", status.as_u16());
        let open = request.extensions_mut().remove::<Open>();
        open.into_iter().for_each(|open| open.end(status));
        let extensions = request.extensions();
        let Some(Received { at, route }) = extensions.get() else { return };
        let took = at.elapsed();
        if let Some(shell) = request.app_data::<Shell>() {
            shell.http.observe(request.method(), route.as_deref(), status, took);
        }
        let elapsed_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if status.is_server_error() && !is_quiet(request.path()) {
            warn!(elapsed_us, "request answered");
        } else {
            debug!(elapsed_us, "request answered");
        }
    }
}

fn is_quiet(path: &str) -> bool {
    QUIET.contains(&path)
}
