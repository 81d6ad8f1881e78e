//! A service as its own process, on RabbitMQ and Postgres, with standby instances.
//!
//! ```text
//! wait      for the database, then for the lease: each service has one active instance
//! serve     start the service; renew the lease
//! again     when another instance has the lease: stop everything, then wait again
//! end       on SIGTERM, SIGHUP or Ctrl-C: finish what is running, release the lease
//! ```
//!
//! The lease only decides which instance should own the service's stage partitions. The key of the batch record
//! (`dataflow`) is the fence that keeps other instances from writing. While the process waits, it serves `/healthz`,
//! and `/readyz` says what it waits for.

mod configuration;
mod leadership;
mod process;
mod standby;

pub use configuration::{BadSetting, Configuration, Settings};
pub use process::{main, main_with};
