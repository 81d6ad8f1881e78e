//! `exchange-rate`: the service as a process of its own, on RabbitMQ and Postgres.

use std::process::ExitCode;

fn main() -> ExitCode {
    cluster::main(&cluster::Service {
        name: exchange_rate::SERVICE,
        port: 8081,
        tables: exchange_rate::tables(),
        streams: &contracts::STREAMS,
        start: |store, carrier, listener, workers| Box::pin(exchange_rate::start(store, carrier, listener, workers)),
    })
}
