//! How rates come in: by files of the ECB (the built-in history, the feed, those that somebody sends) and one by one.

use std::time::Duration;

use ::web::{Condition, Problem, Traceparent};
use actix::Addr;
use actix_web::web::Bytes;
use chrono::NaiveDate;
use contracts::Imported;
use dataflow::Ingress;
use money::RateSource;
use stage::{Cause, Key, RequestId};

use crate::ecb;
use crate::feed::{self, Feed, Metrics};
use crate::record_rates::{Moment, RecordRates, RecordRatesInput, SetRates};

/// Who sets the rates of a file of the ECB.
const ECB: &str = "ecb";
/// What a rate takes in memory while it waits, and little more: a file may be packed well. As many as any file can have
/// must fit in the queue.
const RATE_BYTES: usize = 16;
/// How long to wait before an import that was refused is tried again.
const IMPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Completes the history, and then follows the feed. In this order: what the feed says is newer.
pub async fn keep_up(ingress: Addr<Ingress<RecordRates>>, history: Condition, feed: Option<(Feed, Metrics)>) {
    while !history.is_met() {
        match import_built_in(&ingress).await {
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
    let Some((feed, metrics)) = feed else { return };
    feed::follow(feed, metrics, async |trace, file| import(&ingress, cause(trace), file, false).await).await;
}

async fn import_built_in(ingress: &Addr<Ingress<RecordRates>>) -> Result<Imported, Problem> {
    // Nobody asked for it: it is not traced.
    let cause = ::web::cause(RequestId("built-in-history".to_owned()), &Traceparent::random());
    import(ingress, cause, Bytes::from_static(ecb::BUILT_IN), true).await
}

/// Takes in a file of the ECB, whole or not at all.
///
/// # Errors
/// 422 with the place in the file, 429 or 503.
pub async fn import(
    ingress: &Addr<Ingress<RecordRates>>,
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
    let source: RateSource = ECB.parse().map_err(|error: money::Invalid| Problem::internal(&error))?;
    let bytes = packed.max(history.numbers * RATE_BYTES);
    let moments = history.days.into_iter().map(moment).collect();
    record(ingress, cause, SetRates { source, moments, completes_history }, bytes).await
}

/// Takes in rates.
///
/// # Errors
/// 429 or 503.
pub async fn record(
    ingress: &Addr<Ingress<RecordRates>>,
    cause: Cause,
    asked: SetRates,
    bytes: usize,
) -> Result<Imported, Problem> {
    let event = ::web::event(cause, Key(contracts::RATES_KEY.to_owned()), RecordRatesInput::SetRates(asked));
    ::web::submit(ingress, event, bytes).await
}

/// What caused a request. Setting the same again changes nothing, so it needs no id of the client's: its trace names it.
pub fn cause(trace: &Traceparent) -> Cause {
    ::web::cause(RequestId(trace.trace_id().to_owned()), trace)
}
