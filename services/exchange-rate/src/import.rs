//! Recording of rates: from ECB files (the built-in history, the feed, uploads) and single rates.

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

/// The source of rates from an ECB file.
const ECB: &str = "ecb";
/// The memory that a queued rate takes, in bytes; a tight estimate. It matters when a compressed file is much smaller
/// than its rates. The rates of the largest possible file must fit in the queue.
const RATE_BYTES: usize = 16;
/// The wait before a failed import of the built-in history is retried.
const IMPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Imports the built-in history if it is missing, and then polls the feed. The order matters: the feed is newer, and
/// the last import wins.
pub async fn keep_up(ingress: Addr<Ingress<RecordRates>>, history: Condition, feed: Option<(Feed, Metrics)>) {
    while !history.is_met() {
        match import_built_in(&ingress).await {
            Ok(imported) => {
                tracing::info!(rates = imported.new, "imported the built-in history of the ECB");
                history.met();
            }
            Err(problem) => {
                tracing::warn!(%problem, "the built-in history was not imported: the import is retried");
                history.unmet(problem.to_string());
                actix::clock::sleep(IMPORT_INTERVAL).await;
            }
        }
    }
    let Some((feed, metrics)) = feed else { return };
    feed::poll(feed, metrics, async |trace, file| import(&ingress, cause(trace), file, false).await).await;
}

async fn import_built_in(ingress: &Addr<Ingress<RecordRates>>) -> Result<Imported, Problem> {
    // This import belongs to no request, so it is not traced.
    let cause = ::web::cause(RequestId("built-in-history".to_owned()), &Traceparent::random());
    import(ingress, cause, Bytes::from_static(ecb::BUILT_IN), true).await
}

/// Imports an ECB file, either all of it or nothing.
///
/// # Errors
/// 422 with the place in the file, 429 or 503.
pub async fn import(
    ingress: &Addr<Ingress<RecordRates>>,
    cause: Cause,
    file: Bytes,
    completes_history: bool,
) -> Result<Imported, Problem> {
    let packed = file.len();
    // The built-in history is trusted, whatever the clock says. For other files the last allowed day is tomorrow:
    // elsewhere on earth it may already be that day.
    let tomorrow = cause.time.date_naive().succ_opt();
    let last = tomorrow.filter(|_| !completes_history).unwrap_or(NaiveDate::MAX);
    // Parsing a large file takes some 100 ms, so it runs on a blocking thread and does not delay other requests.
    let history = actix_web::web::block(move || ecb::parse(&file, last)).await;
    let history = history.map_err(|error| Problem::internal(&error))?;
    let history = history.map_err(|error| Problem::unprocessable(telemetry::error_chain(&error)))?;
    let moment = |day: ecb::Day| Moment {
        valid_from: day.date.and_time(chrono::NaiveTime::MIN).and_utc(),
        rates: [(money::Currency::EUR, day.rates)].into(),
    };
    let source: RateSource = ECB.parse().map_err(|error: money::Invalid| Problem::internal(&error))?;
    let bytes = packed.max(history.numbers * RATE_BYTES);
    let moments = history.days.into_iter().map(moment).collect();
    record(ingress, cause, SetRates { source, moments, completes_history }, bytes).await
}

/// Submits rates of about `bytes` bytes to the ingress partition and returns the counts after the commit.
///
/// # Errors
/// 429 or 503.
pub async fn record(
    ingress: &Addr<Ingress<RecordRates>>,
    cause: Cause,
    rates: SetRates,
    bytes: usize,
) -> Result<Imported, Problem> {
    let event = ::web::event(cause, Key(contracts::RATES_KEY.to_owned()), RecordRatesInput::SetRates(rates));
    ::web::submit(ingress, event, bytes).await
}

/// The cause of a request. Setting the same rates again changes nothing, so a request needs no idempotency key: its
/// request id is the trace id.
pub fn cause(trace: &Traceparent) -> Cause {
    ::web::cause(RequestId(trace.trace_id().to_owned()), trace)
}
