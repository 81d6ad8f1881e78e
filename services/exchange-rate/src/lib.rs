//! The exchange-rate service: the system of record of exchange rates. It publishes new rates. Services that need rates
//! keep a local copy of them.

pub mod ecb;
mod feed;
mod http;
mod import;
mod metrics;
pub mod record_rates;
mod service;

pub use feed::{Feed, FeedSettings, Limits};
pub use http::api;
pub use service::{definition, start};

/// Name of the service.
pub const SERVICE: &str = "exchange-rate";
