//! The HTTP shell that all services share. It contains no business logic.
//!
//! A request passes through these layers, outermost first:
//!
//! 1. the span, the log line and the metrics of the request ([`Traceparent`], [`Lines`]);
//! 2. a middleware that turns every error response into a [`Problem`];
//! 3. the service's own handlers. They read the request with [`json_body()`], [`ndjson_body()`], [`query()`],
//!    [`segment`], [`IdempotencyKey`] and [`Prefer`].
//!
//! Neither responses nor the log repeat client input, except short text of checked characters: an idempotency key, the
//! name of a field.

mod api;
mod body;
mod closing;
mod definition;
mod error_response;
mod health;
mod idempotency;
mod json;
mod lines;
mod log;
mod metrics;
mod prefer;
mod problem;
mod query;
mod refusal;
mod running;
pub mod segment;
mod server;
mod span;
mod starting;
mod submit;
#[cfg(test)]
mod tests;
mod tls;
mod traceparent;

pub use api::{
    Api, BadRequest, Conflict, Endpoint, Failing, InternalServerError, NotFound, PayloadTooLarge, Reading,
    RequestTimeout, ServiceUnavailable, TooManyRequests, UnprocessableContent, UnsupportedMediaType, Writing,
};
pub use body::{BODY_TIMEOUT, NDJSON, body, json_body, ndjson, ndjson_body};
pub use definition::{ServiceDefinition, Start};
pub use health::{Condition, Readiness};
pub use idempotency::{IdempotencyKey, OptionalIdempotencyKey, other_content};
pub use json::parse;
pub use lines::Lines;
pub use prefer::{MAX_WAIT, Prefer};
pub use problem::{Place, Problem, ProblemType};
pub use query::query;
pub use running::RunningService;
pub use server::{BindError, Shell, State, app, bind, connections_max, serve};
pub use span::name_request;
pub use starting::{ServiceSetup, StartError, Starting};
pub use submit::{cause, event, submit, submit_all, unexpected, watch_connections, watch_owners};
pub use tls::use_ring;
pub use traceparent::Traceparent;
