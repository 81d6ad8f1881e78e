//! `exchange-rate`: the service as its own process, on RabbitMQ and Postgres.

use std::process::ExitCode;

use exchange_rate::FeedSettings;

fn main() -> ExitCode {
    cluster::main_with(exchange_rate::SERVICE, |settings: FeedSettings| {
        Ok(exchange_rate::definition(settings.check()?))
    })
}
