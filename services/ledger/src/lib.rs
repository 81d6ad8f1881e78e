//! The ledger service: double entry in several currencies. It reads the purchases from their stream.

mod audit;
mod http;
pub mod invariants;
mod metrics;
pub mod post;
pub mod record_commands;
mod service;
mod trial_balance;

pub use http::api;
pub use service::{definition, start};

/// Name of the service.
pub const SERVICE: &str = "ledger";
