//! `purchase`: the service as a process of its own, on RabbitMQ and Postgres.

use std::process::ExitCode;

fn main() -> ExitCode {
    cluster::main(purchase::definition())
}
