//! The command: prepare, run the clients, measure, and print the result.

use std::cell::RefCell;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use contracts::RateQuote;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use money::Currency;
use operator_client::{
    AttemptError, EXCHANGE_RATE, IN_FLIGHT, LEDGER, PURCHASE, ServiceClient, ServiceError, Services, trial_balance,
};
use reqwest::Method;
use serde_json::json;

use crate::arguments::{LoadArguments, Mode};
use crate::client::Client;
use crate::orders::Orders;
use crate::report::Report;
use crate::tally::Tally;
use crate::{metrics, orders};

/// Sends, measures and prints. The exit code is 0, or 1 if something failed.
///
/// # Errors
/// When it cannot finish: a service is unavailable or refuses a request.
pub async fn run(arguments: LoadArguments, services: Services) -> anyhow::Result<ExitCode> {
    let report = measured(&arguments, &services).await?;
    let text = if arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("the result cannot be written")?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measured(arguments: &LoadArguments, services: &Services) -> anyhow::Result<Report> {
    if arguments.mode == Mode::Single && arguments.batch.is_some() {
        bail!("--batch is for `unbundled load batch`");
    }
    let orders = Orders::new(arguments)?;
    let (purchase, ledger) = (services.named(PURCHASE)?, services.named(LEDGER)?);
    for service in services.all() {
        ready(service).await?;
    }
    let rate = rate(services.named(EXCHANGE_RATE)?, arguments.pay_in).await?;
    offer(purchase, arguments, &orders).await.context("the offers could not be set")?;

    let begin = Instant::now() + Duration::from_secs(arguments.warm_up);
    let end = begin + Duration::from_secs(arguments.seconds);
    let tally = RefCell::new(Tally::new(begin..end)?);
    let client = Client { purchase, orders: &orders, tally: &tally, end, no_wait: arguments.no_wait };
    let clients = async { future::try_join_all((0..arguments.clients()).map(|_| client.run())).await.map(drop) };
    let (metrics, ()) = tokio::try_join!(
        async { metrics::between(services.all(), begin, end).await.map_err(anyhow::Error::from) },
        async { clients.await.map_err(anyhow::Error::from) },
    )?;
    let books = trial_balance::at_rest(ledger).await.context("the ledger could not be read at the end")?;
    Ok(Report::of(arguments, rate, tally.into_inner(), metrics, &books))
}

/// Checks that a service is ready. It does not wait for one that is not running: somebody has to start it.
async fn ready(service: &ServiceClient) -> anyhow::Result<()> {
    let response = service.once("/readyz", service.request(Method::GET, "/readyz")).await;
    response.map(drop).map_err(|failed| match failed {
        AttemptError::Transient { why, status: Some(_), .. } => anyhow!("{service} is not ready: {why}"),
        AttemptError::Transient { why, status: None, .. } => anyhow!(
            "{service} does not respond: {why}; start the system (`unbundled run`), or pass its address (`--help`)"
        ),
        AttemptError::Permanent(error) => anyhow::Error::from(error),
    })
}

/// The rate at which all purchases are converted; `None` if they pay in the currency of the offers.
async fn rate(exchange_rate: &ServiceClient, pay_in: Currency) -> anyhow::Result<Option<RateQuote>> {
    if pay_in == orders::PRICED_IN {
        return Ok(None);
    }
    let path = format!("/rates/{}/{pay_in}?at={}", orders::PRICED_IN, orders::OCCURRED_AT);
    let rate = exchange_rate.get(&path).await?;
    rate.map(Some).with_context(|| format!("{pay_in} had no rate at {}", orders::OCCURRED_AT))
}

async fn offer(purchase: &ServiceClient, arguments: &LoadArguments, orders: &Orders) -> Result<(), ServiceError> {
    let terms = |line| {
        let mut terms = json!({"price": {"amount": "2.55", "currency": orders::PRICED_IN.to_string()}});
        if arguments.is_limited(line) {
            terms["capacity"] = json!(arguments.capacity);
            terms["constraint"] = json!(arguments.constraint);
        }
        terms
    };
    stream::iter(orders.skus())
        .map(|(line, sku)| {
            let terms = terms(line);
            async move { purchase.put(&format!("/offers/{sku}"), &terms).await }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await
}
