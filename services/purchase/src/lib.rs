//! The purchase service. It prices with its own copy of the rates, and says what was bought; whoever
//! has to act on that listens.

pub mod accept;
mod copies;
pub mod copy_rates;
mod http;
pub mod invariants;
mod metrics;
mod service;
pub mod settle;
mod shown;

pub use http::api;
pub use service::{definition, start};

/// The service's name.
pub const SERVICE: &str = "purchase";
