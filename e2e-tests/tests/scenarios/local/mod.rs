//! Scenarios that need the process and its folder. They always start `unbundled run` themselves; exclude them against a
//! cluster with `not test(/scenarios::local::/)`.

mod audit;
mod banner;
mod bookings;
mod copies;
mod crash;
mod examples;
mod feed;
mod journal;
mod logs;
mod metrics;
mod partitions;
mod process;
pub mod readme;
mod schemathesis;
pub mod start;
mod stop;
mod traces;
