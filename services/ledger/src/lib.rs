//! The ledger service: double entry in several currencies. It learns of purchases because it listens.

mod http;
pub mod invariants;
mod metrics;
pub mod post;
pub mod record_commands;
mod service;
mod trial_balance;

pub use http::api;
pub use service::{definition, start};

/// The service's name.
pub const SERVICE: &str = "ledger";
