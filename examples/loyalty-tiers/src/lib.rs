//! An example of a new stage: the loyalty service with tiers. The stage reads the stream that the service already
//! publishes. `docs/adding-a-stage.md` builds it step by step.

pub mod grant_tier;
mod http;
mod service;

pub use http::api;
pub use service::{definition, start};
