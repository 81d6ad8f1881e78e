//! `unbundled load`: a small closed-loop load generator that speaks HTTP to any running system.
//!
//! Shape: set offers of its own, then so many clients, each of which sends the next request only when its purchases have
//! their outcome (`client`); what is answered within the measured interval is counted (`tally`), and the services'
//! own metrics are read at its begin and end (`metrics`). In the end the books must be at rest with difference 0.
//!
//! How times are taken: a request with `Prefer: wait` is answered when its purchases have their outcome, one without
//! when they are accepted. Either is what a client sees who asks for just that, in one request. So most requests wait,
//! and give the time to settled; of each client's every eighth does not, and gives the time to accepted: its outcome
//! is then waited for by sending the same again with `Prefer: wait`, which is idempotent, and that time is not used.
//! So the next request never competes with purchases left behind, and the extra requests cost little.
//! Of the others the acceptance is seen with the outcome: in a closed loop both rates are those of the whole way.
//!
//! A rate counts what was answered within the interval; a time belongs to it if the request was sent in it, however
//! late the answer.

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

/// Offers that are set at a time.
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
/// Each client sends the next request when the purchases of the one before have their outcome. Most requests ask for the
/// outcome (`Prefer: wait`) and give the time to settled; every eighth of a client asks for nothing and gives the time to
/// accepted. Exits with 1 if any answer was not as expected, or the books' difference is not 0.
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// How purchases are sent
    #[arg(value_enum)]
    mode: Mode,
    #[command(flatten)]
    addresses: Addresses,
    /// Base URL of exchange-rate, if it is elsewhere
    #[arg(long, value_name = "URL", env = "UNBUNDLED_EXCHANGE_RATE_URL", value_parser = base_url)]
    exchange_rate: Option<String>,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How long to send before that
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    warm_up: u64,
    /// Clients that send at the same time [default: 1, or 4 with batches]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: Option<u64>,
    /// Purchases of a batch [default: 1000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    batch: Option<u64>,
    /// Lines of a purchase, each of another offer
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    lines: u64,
    /// Customers among whom the purchases, and so the partitions, are spread
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    customers: u64,
    /// The currency to pay in. The offers are in GBP; another one is converted, at the ECB's rate of 2011-12-09
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

    /// Purchases of a request.
    fn purchases(&self) -> u64 {
        match self.mode {
            Mode::Single => 1,
            Mode::Batch => self.batch.unwrap_or(1_000),
        }
    }
}

/// Sends, measures, prints, and says whether all came out as it must: 0, or 1 if something failed.
///
/// # Errors
/// When it could not be brought to its end: a service is away or refuses.
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
    let books = trial_balance::at_rest(&ledger).await.context("the ledger could not be read in the end")?;
    Ok(Report::of(arguments, rate, tally.into_inner(), metrics, &books))
}

/// A service that is not there is no reason to wait: somebody has to start it.
async fn ready(service: &ServiceClient) -> anyhow::Result<()> {
    let answer = service.once("/readyz", service.request(Method::GET, "/readyz")).await;
    answer.map(drop).map_err(|failed| match failed {
        Failed::Away { why, status: Some(_), .. } => anyhow!("{service} is not ready: {why}"),
        Failed::Away { why, status: None, .. } => anyhow!(
            "nothing answers as {service}: {why}; start the system (`unbundled run`), or say where it is (`--help`)"
        ),
        Failed::Ended(error) => anyhow::Error::from(error),
    })
}

/// The rate by which all purchases are converted; none when they pay in the currency of the offers.
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
