//! The Postgres store on a real server: conformance, and what only Postgres has.

mod database;
mod failures;
mod notes;
mod opening;

pub use self::database::Databases;

conformance::conformance!(Databases::new());
