//! `loyalty-tiers`: the service as its own process, on RabbitMQ and Postgres.

use std::process::ExitCode;

fn main() -> ExitCode {
    cluster::main(loyalty_tiers::definition())
}
