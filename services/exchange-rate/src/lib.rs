//! The exchange-rate service: the system of record of rates. It publishes what is new and is never
//! asked for a price: whoever needs rates keeps a copy.

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

/// The service's name.
pub const SERVICE: &str = "exchange-rate";
