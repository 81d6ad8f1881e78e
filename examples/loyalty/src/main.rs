//! `loyalty`: the service as its own process, on RabbitMQ and Postgres.

use std::process::ExitCode;

fn main() -> ExitCode {
    cluster::main(loyalty::definition())
}
