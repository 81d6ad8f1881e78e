//! An example of a new service: loyalty awards points for settled purchases. It reads streams of other services and
//! changes none of them. `docs/adding-a-service.md` builds it step by step.

pub mod award;
pub mod http;
mod service;

pub use http::api;
pub use service::{SERVICE, definition, start};
