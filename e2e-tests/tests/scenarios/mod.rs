//! What a client sees: scenarios over HTTP, against the release binary that `make` has built.
//!
//! The modules here are black boxes. Each test starts a system of its own on ports of the system's choice; where
//! `UNBUNDLED_EXCHANGE_RATE_URL`, `UNBUNDLED_PURCHASE_URL` and `UNBUNDLED_LEDGER_URL` are set, all use the one that
//! runs there, so that the same scenarios hold on every deployment. They use names and moments that nobody has used
//! before, never assume an empty system, and may run at the same time.
//!
//! [`local`] needs the process itself (it is killed, restarted, its folder damaged): these always start their own, and
//! against a cluster they are left out by name, `not test(/scenarios::local::/)`.
//!
//! Every scenario ends with [`harness::System::finish`]: nothing in transit, difference 0, a clean end, a clean audit.

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
mod transfers;
