//! The service put together: the way in, the server, the built-in history on the first start.

use std::sync::Arc;
use std::time::Duration;

use ::web::{Condition, Problem, Running, Setup, StartError, Traceparent};
use actix::Addr;
use actix_web::web::Bytes;
use chrono::NaiveDate;
use contracts::{Imported, RateRow};
use dataflow::WayIn;
use money::Source;
use prometheus::{IntCounter, Registry};
use stage::{Cause, Change, Key, RequestId, Row as _, Stage as _, Table};

use crate::ecb;
use crate::feed::{self, Feed, Figures};
use crate::http::{self, Rates};
use crate::record_rates::{Moment, NewestRow, RatesAsked, RecordRates, Request};

/// The service's name.
pub const SERVICE: &str = "exchange-rate";
/// Who sets the rates of a file of the ECB.
const ECB: &str = "ecb";
/// What a rate takes in memory while it waits: a file may be packed well.
const RATE_BYTES: usize = 32;
/// How long to wait before an import that was refused is tried again.
const IMPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The tables of the service's store.
pub fn tables() -> Vec<&'static Table> {
    RecordRates::TABLES.to_vec()
}

/// Starts the service. The built-in history is imported when it is not complete yet; after that the feed is followed,
/// if there is one.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: Setup, feed: Option<Feed>) -> Result<Running, StartError> {
    let mut starting = setup.prepare(SERVICE)?;
    let store = starting.node.store().clone();
    let history = starting.shell.readiness.require("history", "the history of rates is being imported");
    let versions = versions(&starting.shell.registry)?;
    let on_rows = Arc::new(move |changes: &[Change]| {
        versions.inc_by(changes.iter().filter(|change| change.table.name == RateRow::TABLE.name).count() as u64);
    });
    let way_in = starting.node.way_in(|| RecordRates, on_rows).await?;
    let newest = store.get::<NewestRow>(&NewestRow::key()).await?;
    if newest.is_some_and(|newest| newest.complete) {
        history.met();
    }
    let figures = feed.as_ref().map(|_| Figures::register(&starting.shell.registry)).transpose()?;
    let feed = feed.zip(figures);
    let rates = Rates::new(store, way_in.clone());
    let running = Running::start(starting, http::api(), rates)?;
    Ok(running.with_errand(actix::spawn(keep_up(way_in, history, feed))))
}

/// Completes the history, and then follows the feed. In this order: what the feed says is newer.
async fn keep_up(way_in: Addr<WayIn<RecordRates>>, history: Condition, feed: Option<(Feed, Figures)>) {
    while !history.is_met() {
        match import_built_in(&way_in).await {
            Ok(imported) => {
                tracing::info!(rates = imported.new, "imported the built-in history of the ECB");
                history.met();
            }
            Err(problem) => {
                tracing::warn!(%problem, "the built-in history was not imported, and is tried again");
                history.unmet(problem.to_string());
                actix::clock::sleep(IMPORT_INTERVAL).await;
            }
        }
    }
    let Some((feed, figures)) = feed else { return };
    feed::follow(feed, figures, async |trace, file| import(&way_in, cause(trace), file, false).await).await;
}

/// What caused a request. Setting the same again changes nothing, so it needs no id of the client's: its trace names it.
pub(crate) fn cause(trace: &Traceparent) -> Cause {
    ::web::cause(RequestId(trace.trace_id().to_owned()), trace)
}

/// What is counted of the business, since the process started.
fn versions(registry: &Registry) -> prometheus::Result<IntCounter> {
    let help = "Versions of rates recorded: new or changed rates of one moment each.";
    let versions = IntCounter::new("rate_versions_total", help)?;
    registry.register(Box::new(versions.clone()))?;
    Ok(versions)
}

async fn import_built_in(way_in: &Addr<WayIn<RecordRates>>) -> Result<Imported, Problem> {
    // Nobody asked for it: it is not traced.
    let cause = ::web::cause(RequestId("built-in-history".to_owned()), &Traceparent::random());
    import(way_in, cause, Bytes::from_static(ecb::BUILT_IN), true).await
}

/// Takes in a file of the ECB, whole or not at all.
///
/// # Errors
/// 422 with the place in the file, 429 or 503.
pub(crate) async fn import(
    way_in: &Addr<WayIn<RecordRates>>,
    cause: Cause,
    file: Bytes,
    completes_history: bool,
) -> Result<Imported, Problem> {
    // A large file takes some 100 ms: elsewhere, so that nobody else on this thread waits for it.
    let packed = file.len();
    // What comes with the program is trusted, whatever the clock says; elsewhere it may be tomorrow.
    let tomorrow = cause.time.date_naive().succ_opt();
    let last = tomorrow.filter(|_| !completes_history).unwrap_or(NaiveDate::MAX);
    let history = actix_web::web::block(move || ecb::parse(&file, last)).await;
    let history = history.map_err(|error| Problem::internal(&error))?;
    let history = history.map_err(|error| Problem::unprocessable(telemetry::chain(&error)))?;
    let moment = |day: ecb::Day| Moment {
        valid_from: day.date.and_time(chrono::NaiveTime::MIN).and_utc(),
        rates: [(money::Currency::EUR, day.rates)].into(),
    };
    let source: Source = ECB.parse().map_err(|error: money::Invalid| Problem::internal(&error))?;
    let bytes = packed.max(history.numbers * RATE_BYTES);
    let moments = history.days.into_iter().map(moment).collect();
    record(way_in, cause, RatesAsked { source, moments, completes_history }, bytes).await
}

/// Takes in rates.
///
/// # Errors
/// 429 or 503.
pub(crate) async fn record(
    way_in: &Addr<WayIn<RecordRates>>,
    cause: Cause,
    asked: RatesAsked,
    bytes: usize,
) -> Result<Imported, Problem> {
    let event = ::web::event(cause, Key(contracts::RATES_KEY.to_owned()), Request::RatesAsked(asked));
    ::web::ask(way_in, event, bytes).await
}
