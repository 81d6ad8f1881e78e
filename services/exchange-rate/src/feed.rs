//! The ECB's live feed: a file at a URL, asked for again and again.
//!
//! ```text
//! ask      at once, then every interval, with what the last answer said of itself: a 304 costs nothing
//! import   through the way in, as POST /rates/import does; only then is it remembered which file it was
//! fail     nothing is imported, the reason is logged when it is a new one, the next attempt waits longer
//! ```
//!
//! Nothing depends on it: the service is ready without it, and what it has stays as it is. Off unless a URL is set.
//! It ends with the service, in whatever it is doing.

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
use self::fetch::{Answer, FetchError, Fetcher, Validators};
pub(crate) use self::metrics::Metrics;
use self::pace::Pace;
pub use self::settings::FeedSettings;

/// Where the feed is, and how often to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// A file of the ECB in any form; http or https, without a password.
    pub url: Url,
    /// From one success to the next attempt.
    pub interval: Duration,
    /// What an attempt may take.
    pub limits: Limits,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Some rates are new or changed.
    Rates(Imported),
    /// Nothing that was not known.
    None,
}

/// Why an attempt came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("what it sent was not imported: {0}")]
    Import(Problem),
}

/// Asks and imports until it is dropped. `import` takes a file in, whole or not at all.
pub(crate) async fn follow(
    feed: Feed,
    metrics: Metrics,
    import: impl AsyncFn(&Traceparent, Bytes) -> Result<Imported, Problem>,
) {
    let mut fetcher = Fetcher::new(&feed.url, feed.limits);
    let (mut known, mut pace, mut trouble) = (Validators::default(), Pace::new(feed.interval), None);
    let url = shown(&feed.url);
    tracing::info!(url, interval_s = feed.interval.as_secs(), "following the feed of the ECB");
    loop {
        let attempt = attempt(&mut fetcher, &mut known, &import).await;
        metrics.count(&attempt);
        let wait = match attempt {
            Ok(news) => {
                if trouble.take().is_some() {
                    tracing::info!(url, "the feed of the ECB works again");
                }
                if let News::Rates(Imported { new, changed, .. }) = news {
                    tracing::info!(url, new, changed, "imported rates from the feed of the ECB");
                }
                pace.after_success()
            }
            Err(failed) => {
                let (why, wait) = (telemetry::chain(&failed), pace.after_failure(failed.retry_after()));
                // The same again is no news.
                if trouble.as_ref() != Some(&why) {
                    tracing::warn!(
                        url,
                        why,
                        wait_s = wait.as_secs(),
                        "the feed of the ECB gives nothing, and is asked again"
                    );
                    trouble = Some(why);
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
) -> Result<News, Failed> {
    match fetcher.fetch(known).await? {
        Answer::NotModified => Ok(News::None),
        Answer::File { body, validators } => {
            let imported = import(&Traceparent::random(), body.into()).await.map_err(Failed::Import)?;
            // A file that was not imported is asked for again.
            *known = validators;
            Ok(if imported.unchanged == imported.read { News::None } else { News::Rates(imported) })
        }
    }
}

impl Failed {
    /// When to ask again, by what the feed itself says.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Failed::Fetch(FetchError::Status { retry_after, .. }) => *retry_after,
            Failed::Fetch(_) | Failed::Import(_) => None,
        }
    }
}

/// The URL as a log may show it.
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.query().is_some() {
        shown.set_query(Some("***"));
    }
    shown.to_string()
}
