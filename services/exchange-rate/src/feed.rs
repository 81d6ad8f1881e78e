//! The live feed of the ECB: a background task that fetches a file from a URL periodically.
//!
//! - It fetches at the start and then once per interval, with the validators of the last file, so an unchanged file
//!   costs only a 304.
//! - It imports a file through the ingress partition, as `POST /rates/import` does. Only after the import it stores the
//!   validators of the file.
//! - A failed attempt imports nothing and is followed by a longer wait. The reason is logged if it differs from the
//!   last one.
//!
//! Nothing depends on the feed: without it the service is ready and keeps its rates. The feed is off unless a URL is
//! set. It ends with the service, at any point of an attempt.

mod fetch;
mod metrics;
mod pace;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ::web::{Problem, Traceparent};
use actix_web::web::Bytes;
use contracts::Imported;
use reqwest::Url;

pub use self::fetch::Limits;
use self::fetch::{FetchError, Fetched, Fetcher, Validators};
pub(crate) use self::metrics::Metrics;
use self::pace::Pace;
pub use self::settings::FeedSettings;

/// The settings of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The URL of an ECB file in any format; http or https, without a password.
    pub url: Url,
    /// The wait from a success to the next attempt.
    pub interval: Duration,
    /// The limits of an attempt.
    pub limits: Limits,
}

/// The result of a successful attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Update {
    /// Some rates are new or changed.
    Changed(Imported),
    /// The file is unchanged, or all its rates are known.
    Unchanged,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the file was not imported: {0}")]
    Import(Problem),
}

/// Fetches and imports until the future is dropped. `import` imports a whole file or nothing.
pub(crate) async fn poll(
    feed: Feed,
    metrics: Metrics,
    import: impl AsyncFn(&Traceparent, Bytes) -> Result<Imported, Problem>,
) {
    let mut fetcher = Fetcher::new(&feed.url, feed.limits);
    let (mut known, mut pace, mut last_error) = (Validators::default(), Pace::new(feed.interval), None);
    let url = shown(&feed.url);
    tracing::info!(url, interval_s = feed.interval.as_secs(), "fetching rates from the ECB feed");
    loop {
        let attempt = attempt(&mut fetcher, &mut known, &import).await;
        metrics.count(&attempt);
        let wait = match attempt {
            Ok(update) => {
                if last_error.take().is_some() {
                    tracing::info!(url, "the ECB feed works again");
                }
                if let Update::Changed(Imported { new, changed, .. }) = update {
                    tracing::info!(url, new, changed, "imported rates from the ECB feed");
                }
                pace.after_success()
            }
            Err(error) => {
                let (why, wait) = (telemetry::error_chain(&error), pace.after_failure(error.retry_after()));
                // A repeated error is logged once.
                if last_error.as_ref() != Some(&why) {
                    tracing::warn!(url, why, wait_s = wait.as_secs(), "the ECB feed failed: retrying after the wait");
                    last_error = Some(why);
                }
                wait
            }
        };
        actix::clock::sleep(wait).await;
    }
}

async fn attempt(
    fetcher: &mut Fetcher,
    known: &mut Validators,
    import: &impl AsyncFn(&Traceparent, Bytes) -> Result<Imported, Problem>,
) -> Result<Update, AttemptError> {
    match fetcher.fetch(known).await? {
        Fetched::NotModified => Ok(Update::Unchanged),
        Fetched::File { body, validators } => {
            let imported = import(&Traceparent::random(), body.into()).await.map_err(AttemptError::Import)?;
            // Set only after the import, so that a file that was not imported is fetched again.
            *known = validators;
            Ok(if imported.unchanged == imported.read { Update::Unchanged } else { Update::Changed(imported) })
        }
    }
}

impl AttemptError {
    /// The wait that the feed requests.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            AttemptError::Fetch(FetchError::Status { retry_after, .. }) => *retry_after,
            AttemptError::Fetch(_) | AttemptError::Import(_) => None,
        }
    }
}

/// The URL for the log, without its query.
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.query().is_some() {
        shown.set_query(Some("***"));
    }
    shown.to_string()
}
