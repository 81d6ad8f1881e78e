//! A service as a process of its own, on RabbitMQ and Postgres.
//!
//! ```text
//! wait      for the database, then for the lease: one active instance of each service
//! serve     start the service; keep the lease
//! again     when another instance has the lease: stop everything, wait
//! end       on SIGTERM, SIGHUP or Ctrl-C: finish what was begun, give the lease back
//! ```
//!
//! The lease decides who should own the service's partitions, and no more: that nobody else can write is the
//! batch record's key (`dataflow`). While it waits, the process answers `/healthz`, and `/readyz` says what for.

mod configuration;
mod leadership;
mod process;
mod standby;

pub use configuration::{BadSetting, Configuration, Settings};
pub use process::{main, main_with};
