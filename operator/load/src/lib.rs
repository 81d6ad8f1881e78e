//! `unbundled load`: a small closed-loop load generator that sends HTTP requests to any running system.
//!
//! It sets offers of its own and then runs some clients. Each client sends its next request only when the purchases of
//! the previous one have their outcome (`client`). The responses within the measured interval are counted (`tally`),
//! and the services' own metrics are read at its beginning and end (`metrics`). At the end the books must be at rest
//! with difference 0.
//!
//! The response to a request with `Prefer: wait` comes when its purchases have their outcome, the response to one
//! without when they are accepted. Each is the time that a client sees with a single request. So most requests wait,
//! and measure the time to settled. Every eighth request of a client does not, and measures the time to accepted. The
//! client then waits for the outcome by sending the same request again with `Prefer: wait`, which is idempotent, and
//! does not use that time. So the next request never competes with purchases in progress, and the extra requests cost
//! little. The acceptance of the other requests is seen with their outcome: in a closed loop both rates are those of
//! the whole path.
//!
//! A rate counts the responses within the interval. A time counts if the request was sent within the interval, no
//! matter when the response arrived.

mod arguments;
mod client;
mod command;
mod metrics;
mod orders;
mod outcomes;
mod report;
mod responses;
mod tally;
#[cfg(test)]
mod tests;

pub use arguments::{LoadArguments, Mode};
pub use command::run;
