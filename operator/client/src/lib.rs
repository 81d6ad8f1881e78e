//! What the operator's commands share: requests to the services of a running system, its addresses, its books at rest,
//! and the progress of a command.
//!
//! It uses only the HTTP API, and never looks into a database.

mod addresses;
mod client;
mod error;
mod failed;
mod patience;
mod problem;
mod progress;
mod speed;
pub mod trial_balance;

pub use addresses::{Addresses, base_url};
pub use client::{IN_FLIGHT, ServiceClient};
pub use error::ServiceError;
pub use failed::{Failed, is_away};
pub use patience::AWAY_MAX;
pub use problem::ShownProblem;
pub use progress::Progress;
pub use speed::per_second;
