//! The ledger service: double entry in several currencies. It learns of purchases because it listens.

mod figures;
mod http;
pub mod instruct;
pub mod invariants;
pub mod post;
mod service;
mod trial_balance;

pub use http::api;
pub use service::{start, tables};

/// The service's name.
pub const SERVICE: &str = "ledger";
