//! Waits until every purchase and every return has its outcome.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use operator_client::{IN_FLIGHT, Progress, ServiceClient, ServiceError};
use reqwest::{Method, StatusCode};

use crate::purchase::{Accepted, Response, ReturnResponse};
use crate::request_kind::RequestKind;

/// The longest time without a new outcome. After it, waiting ends.
const STILL_MAX: Duration = Duration::from_secs(60);

/// The pause between two rounds: short compared with the time in which a purchase settles under load.
const PAUSE: Duration = Duration::from_millis(50);

/// Why waiting ended early.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// No more outcomes came.
    #[error("{waiting} purchases or returns from {first} on have no outcome, and none came for {} s", STILL_MAX.as_secs())]
    Stuck {
        /// The number of those without an outcome.
        waiting: usize,
        /// The first of them.
        first: String,
    },
    /// What was accepted does not exist any more.
    #[error("{request_id} was accepted, but does not exist any more")]
    Lost {
        /// Its request id.
        request_id: String,
    },
    /// The service is unavailable, or refuses a request.
    #[error("stopped while waiting for outcomes; run it again to continue: nothing is done twice")]
    ServiceClient(#[from] ServiceError),
}

/// Requests everything until it has its outcome.
///
/// # Errors
/// [`SettleError`].
pub async fn outcomes(purchase: &ServiceClient, all: &mut [Accepted]) -> Result<(), SettleError> {
    let mut progress = None;
    let (mut still_since, mut done) = (Instant::now(), 0);
    loop {
        let mut waiting: Vec<_> = all.iter_mut().filter(|accepted| !accepted.response.status.is_outcome()).collect();
        let Some(first) = waiting.first().map(|accepted| accepted.submission.request_id.to_string()) else {
            return Ok(());
        };
        let count = waiting.len();
        let progress = progress.get_or_insert_with(|| Progress::settling(count as u64));
        let settled = round(purchase, &mut waiting, progress, done).await?;
        done += settled as u64;
        if settled > 0 {
            still_since = Instant::now();
        } else if still_since.elapsed() > STILL_MAX {
            return Err(SettleError::Stuck { waiting: count, first });
        }
        if settled < count {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Requests each of them once, and returns the number of those that have an outcome now. `done` others had one before.
async fn round(
    purchase: &ServiceClient,
    waiting: &mut [&mut Accepted],
    progress: &Progress,
    done: u64,
) -> Result<usize, SettleError> {
    stream::iter(waiting)
        .map(|accepted| async move {
            let kind = accepted.submission.kind;
            let path = kind.path(&accepted.submission.request_id);
            let lost = || SettleError::Lost { request_id: accepted.submission.request_id.to_string() };
            accepted.response = ask(purchase, kind, &path, progress).await?.ok_or_else(lost)?;
            Ok(usize::from(accepted.response.status.is_outcome()))
        })
        .buffer_unordered(IN_FLIGHT)
        .try_fold(0, async |count, settled| {
            let count = count + settled;
            progress.settled(done + count as u64);
            Ok(count)
        })
        .await
}

/// Like [`ServiceClient::get`], but removes the progress bar before the client prints that the service is unavailable.
async fn ask(
    purchase: &ServiceClient,
    kind: RequestKind,
    path: &str,
    progress: &Progress,
) -> Result<Option<Response>, ServiceError> {
    let attempt = async || {
        let body = purchase.once(path, purchase.request(Method::GET, path)).await;
        body.inspect_err(|_| progress.step_aside())
    };
    match purchase.retry(attempt).await {
        Ok(body) => match kind {
            RequestKind::Purchase => purchase.read(path, &body).map(Some),
            RequestKind::Return => purchase.read::<ReturnResponse>(path, &body).map(|read| Some(read.into())),
        },
        Err(ServiceError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
