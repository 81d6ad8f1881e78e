//! What the operator's commands share: requests to the services of a running system, their addresses, its books at rest,
//! and the progress of a command.
//!
//! It uses only the HTTP API, and never looks into a database.

mod attempt;
mod client;
mod constraint;
mod error;
mod problem;
mod progress;
mod retry;
mod services;
mod speed;
pub mod trial_balance;

pub use attempt::{AttemptError, is_transient};
pub use client::{IN_FLIGHT, ServiceClient};
pub use constraint::constraint_parser;
pub use error::ServiceError;
pub use problem::ProblemDetails;
pub use progress::Progress;
pub use retry::RETRY_MAX;
pub use services::{EXCHANGE_RATE, LEDGER, PURCHASE, Services, UnknownService, address_arguments};
pub use speed::per_second;
