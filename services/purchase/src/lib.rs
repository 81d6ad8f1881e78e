//! The purchase service. It prices purchases with its local copy of the rates and publishes them. Services that act on
//! purchases read that stream.

pub mod accept;
pub mod allocate;
mod audit;
pub mod copy_rates;
mod http;
pub mod invariants;
mod metrics;
mod rates_copy;
mod service;
pub mod settle;

pub use http::api;
pub use service::{definition, start};

/// Name of the service.
pub const SERVICE: &str = "purchase";

#[cfg(test)]
mod tests;
