//! `exchange-rate`: the service as a process of its own, on RabbitMQ and Postgres.

use std::process::ExitCode;

use exchange_rate::FeedSettings;

fn main() -> ExitCode {
    cluster::main_with(exchange_rate::SERVICE, |settings: FeedSettings| {
        let feed = settings.check()?;
        Ok(cluster::ServiceDefinition {
            name: exchange_rate::SERVICE,
            port: 8081,
            tables: exchange_rate::tables(),
            api: exchange_rate::api,
            streams: &contracts::STREAMS,
            start: Box::new(move |setup| Box::pin(exchange_rate::start(setup, feed.clone()))),
        })
    })
}
