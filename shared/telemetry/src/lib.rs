//! Observability of a process: logs, one-line error messages, memory and other process metrics, and traces.

mod chain;
mod log;
mod memory;
mod process;
mod spoken;
mod traces;

pub use chain::chain;
pub use log::{DEFAULT_FILTER, InitError, LogFormat, UnknownFormat, init};
pub use memory::{Memory, memory};
pub use opentelemetry::trace::{Event as SpanEvent, Link, SpanContext, SpanId, SpanKind, Status, TraceId};
pub use opentelemetry::{KeyValue, Value};
pub use opentelemetry_sdk::trace::SpanData;
pub use process::register_process;
pub use spoken::{HELP, announce, report};
pub use traces::{BadTraceSetting, Moments, TraceSettings, Traces, attribute, context, sampled, span};
