//! `ledger`: the service as a process of its own, on RabbitMQ and Postgres.

use std::process::ExitCode;

fn main() -> ExitCode {
    cluster::main(cluster::ServiceDefinition {
        name: ledger::SERVICE,
        port: 8083,
        tables: ledger::tables(),
        api: ledger::api,
        streams: &contracts::STREAMS,
        start: Box::new(|setup| Box::pin(ledger::start(setup))),
    })
}
