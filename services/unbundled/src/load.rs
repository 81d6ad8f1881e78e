//! `unbundled load`: a small closed-loop load generator that sends HTTP requests to any running system.
//!
//! It sets offers of its own and then runs some clients. Each client sends its next request only when the purchases of
//! the previous one have their outcome (`client`). The responses within the measured interval are counted (`tally`),
//! and the services' own metrics are read at its beginning and end (`metrics`). At the end the books must be at rest
//! with difference 0.
//!
//! The response to a request with `Prefer: wait` comes when its purchases have their outcome, the response to one
//! without when they are accepted. Each is the time that a client sees with a single request. So most requests wait,
//! and measure the time to settled. Every eighth request of a client does not, and measures the time to accepted. The
//! client then waits for the outcome by sending the same request again with `Prefer: wait`, which is idempotent, and
//! does not use that time. So the next request never competes with purchases in progress, and the extra requests cost
//! little. The acceptance of the other requests is seen with their outcome: in a closed loop both rates are those of
//! the whole path.
//!
//! A rate counts the responses within the interval. A time counts if the request was sent within the interval, no
//! matter when the response arrived.

mod client;
mod metrics;
mod orders;
mod report;
mod tally;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use contracts::ShownRate;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use money::Currency;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use self::client::Client;
use self::orders::Orders;
use self::report::Report;
use self::tally::Tally;
use crate::addresses::{Addresses, base_url};
use crate::service::{Failed, ServiceClient, ServiceError};
use crate::trial_balance;

/// The number of offers that are set at the same time.
const IN_FLIGHT: usize = 16;

/// How purchases are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One by one: POST /purchases
    Single,
    /// Many at a time: POST /purchases/batch
    Batch,
}

/// `unbundled load`.
///
/// Each client sends its next request when the purchases of the previous one have their outcome. Most requests wait for
/// the outcome (`Prefer: wait`) and measure the time to settled; every eighth request of a client does not wait and
/// measures the time to accepted. Exits with 1 if any response was not as expected, or the books' difference is not 0.
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// How purchases are sent
    #[arg(value_enum)]
    mode: Mode,
    #[command(flatten)]
    addresses: Addresses,
    /// Base URL of exchange-rate, if it runs elsewhere
    #[arg(long, value_name = "URL", env = "UNBUNDLED_EXCHANGE_RATE_URL", value_parser = base_url)]
    exchange_rate: Option<String>,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How long to send before the measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    warm_up: u64,
    /// Number of concurrent clients [default: 1, or 4 with batches]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: Option<u64>,
    /// Purchases per batch [default: 1000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    batch: Option<u64>,
    /// Lines per purchase, each of another offer
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    lines: u64,
    /// Number of customers over whom the purchases, and so the partitions, are spread
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    customers: u64,
    /// The currency to pay in. The offers are in GBP; another currency is converted at the ECB's rate of 2011-12-09
    #[arg(long, value_name = "CURRENCY", default_value = "GBP")]
    pay_in: Currency,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl LoadArguments {
    fn clients(&self) -> u64 {
        self.clients.unwrap_or(match self.mode {
            Mode::Single => 1,
            Mode::Batch => 4,
        })
    }

    /// The number of purchases per request.
    fn purchases(&self) -> u64 {
        match self.mode {
            Mode::Single => 1,
            Mode::Batch => self.batch.unwrap_or(1_000),
        }
    }
}

/// Sends, measures and prints. The exit code is 0, or 1 if something failed.
///
/// # Errors
/// When it cannot finish: a service is unavailable or refuses a request.
pub async fn run(arguments: LoadArguments) -> anyhow::Result<ExitCode> {
    let report = measured(&arguments).await?;
    let text = if arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("the result cannot be written")?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measured(arguments: &LoadArguments) -> anyhow::Result<Report> {
    if arguments.mode == Mode::Single && arguments.batch.is_some() {
        bail!("--batch is for `unbundled load batch`");
    }
    let orders = Orders::new(arguments)?;
    let exchange_rate = arguments.addresses.exchange_rate(arguments.exchange_rate.as_deref())?;
    let (purchase, ledger) = (arguments.addresses.purchase()?, arguments.addresses.ledger()?);
    let services = [&exchange_rate, &purchase, &ledger];
    for service in services {
        ready(service).await?;
    }
    let rate = rate(&exchange_rate, arguments.pay_in).await?;
    offer(&purchase, &orders).await.context("the offers could not be set")?;

    let begin = Instant::now() + Duration::from_secs(arguments.warm_up);
    let end = begin + Duration::from_secs(arguments.seconds);
    let tally = RefCell::new(Tally::new(begin..end)?);
    let client = Client { purchase: &purchase, orders: &orders, tally: &tally, end };
    let clients = async { future::try_join_all((0..arguments.clients()).map(|_| client.run())).await.map(drop) };
    let (metrics, ()) = tokio::try_join!(
        async { metrics::between(&services, begin, end).await.map_err(anyhow::Error::from) },
        async { clients.await.map_err(anyhow::Error::from) },
    )?;
    let books = trial_balance::at_rest(&ledger).await.context("the ledger could not be read at the end")?;
    Ok(Report::of(arguments, rate, tally.into_inner(), metrics, &books))
}

/// Checks that a service is ready. It does not wait for one that is not running: somebody has to start it.
async fn ready(service: &ServiceClient) -> anyhow::Result<()> {
    let answer = service.once("/readyz", service.request(Method::GET, "/readyz")).await;
    answer.map(drop).map_err(|failed| match failed {
        Failed::Away { why, status: Some(_), .. } => anyhow!("{service} is not ready: {why}"),
        Failed::Away { why, status: None, .. } => anyhow!(
            "{service} does not respond: {why}; start the system (`unbundled run`), or pass its address (`--help`)"
        ),
        Failed::Ended(error) => anyhow::Error::from(error),
    })
}

/// The rate at which all purchases are converted; `None` if they pay in the currency of the offers.
async fn rate(exchange_rate: &ServiceClient, pay_in: Currency) -> anyhow::Result<Option<ShownRate>> {
    if pay_in == orders::PRICED_IN {
        return Ok(None);
    }
    let path = format!("/rates/{}/{pay_in}?at={}", orders::PRICED_IN, orders::OCCURRED_AT);
    let rate = exchange_rate.get(&path).await?;
    rate.map(Some).with_context(|| format!("{pay_in} had no rate at {}", orders::OCCURRED_AT))
}

async fn offer(purchase: &ServiceClient, orders: &Orders) -> Result<(), ServiceError> {
    let terms = json!({"price": {"amount": "2.55", "currency": orders::PRICED_IN.to_string()}});
    stream::iter(orders.skus())
        .map(|sku| {
            let terms = &terms;
            async move { purchase.put(&format!("/offers/{sku}"), terms).await }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await
}
