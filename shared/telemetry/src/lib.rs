//! Observability of a process: logs, one-line error messages, memory and other process metrics, and traces.

mod console;
mod error_chain;
mod log;
mod memory;
mod process;
mod traces;

pub use console::{HELP, announce, report};
pub use error_chain::error_chain;
pub use log::{DEFAULT_FILTER, InitError, LogFormat, UnknownFormat, init};
pub use memory::{Memory, memory};
pub use opentelemetry::trace::{Event as SpanEvent, Link, SpanContext, SpanId, SpanKind, Status, TraceId};
pub use opentelemetry::{KeyValue, Value};
pub use opentelemetry_sdk::trace::SpanData;
pub use process::register_process;
pub use traces::{BadTraceSetting, Moments, TraceSettings, Traces, attribute, context, sampled, span};
