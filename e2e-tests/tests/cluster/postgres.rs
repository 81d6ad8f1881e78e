//! The Postgres store on a real server: conformance, and what only Postgres has.

mod backlog;
mod database;
mod failures;
mod leases;
mod opening;
mod publish_positions;
mod quarantine;

pub use self::database::Databases;

conformance::conformance!(Databases::new());
