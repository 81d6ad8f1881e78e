//! Scenarios that need the process and its folder: they always start `unbundled run` themselves, and are left out
//! against a cluster by their name alone (`not test(/scenarios::local::/)`).

mod audit;
mod banner;
mod copies;
mod crash;
mod feed;
mod metrics;
mod partitions;
mod schemathesis;
mod start;
mod stop;
mod traces;
