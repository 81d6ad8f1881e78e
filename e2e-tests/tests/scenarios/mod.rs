//! Scenarios over HTTP against the release binary that `make` builds.
//!
//! The modules here are black-box tests. Each test starts a system of its own on free ports. If
//! `UNBUNDLED_EXCHANGE_RATE_URL`, `UNBUNDLED_PURCHASE_URL` and `UNBUNDLED_LEDGER_URL` are set, all tests use the system
//! at these addresses instead, so that the same scenarios run against every deployment. They use unique names and
//! moments, never assume an empty system, and may run concurrently.
//!
//! The tests in [`local`] kill and restart the process and damage its folder, so they always start their own.
//! Exclude them against a cluster with `not test(/scenarios::local::/)`.
//!
//! Every scenario ends with [`harness::System::finish`]: nothing is in transit, and the difference is 0. The process
//! exits with code 0 and the audit is clean at the end of each scenario that starts a system of its own, and once after
//! all that share one (`infra/local/with-embedded.sh`, `infra/local/with-cluster.sh`).

mod accounts;
mod bad_input;
mod batches;
mod books;
mod copies;
mod documents;
pub mod harness;
mod health;
mod idempotency;
mod imports;
mod load;
pub mod local;
mod metrics;
mod offers;
mod purchases;
mod rates;
mod refusals;
mod returns;
mod stock;
mod transfers;
