//! `purchase`: the service as a process of its own, on RabbitMQ and Postgres.

use std::process::ExitCode;

fn main() -> ExitCode {
    cluster::main(cluster::ServiceDefinition {
        name: purchase::SERVICE,
        port: 8082,
        tables: purchase::tables(),
        api: purchase::api,
        streams: &contracts::STREAMS,
        start: Box::new(|setup| Box::pin(purchase::start(setup))),
    })
}
