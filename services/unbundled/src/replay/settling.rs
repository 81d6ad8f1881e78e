//! Waiting until every purchase has its outcome.

use std::time::{Duration, Instant};

use contracts::PurchaseId;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};

use super::IN_FLIGHT;
use super::progress::Progress;
use super::sending::{Answer, Taken};
use crate::service::{ServiceClient, ServiceError};

/// So long nothing may move before waiting ends.
const STILL_MAX: Duration = Duration::from_secs(60);

/// A pause between two rounds: short against what a purchase takes to settle under load.
const PAUSE: Duration = Duration::from_millis(50);

/// Why waiting ended.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Nothing moved any more.
    #[error("{waiting} purchases have no outcome, {first} first, and for {} s none came", STILL_MAX.as_secs())]
    Stuck {
        /// So many are waiting.
        waiting: usize,
        /// The first of them.
        first: String,
    },
    /// A purchase that had been taken is gone.
    #[error("{request_id} was taken, and is not there any more")]
    Lost {
        /// Which.
        request_id: String,
    },
    /// The service is away, or refuses.
    #[error("stopped while waiting for outcomes; run it again to go on: nothing is done twice")]
    ServiceClient(#[from] ServiceError),
}

/// Asks for every purchase until it has its outcome.
///
/// # Errors
/// [`SettleError`].
pub async fn outcomes(purchase: &ServiceClient, all: &mut [Taken]) -> Result<(), SettleError> {
    let mut progress = None;
    let (mut still_since, mut done) = (Instant::now(), 0);
    loop {
        let mut waiting: Vec<_> = all.iter_mut().filter(|taken| !taken.answer.status.is_outcome()).collect();
        let Some(first) = waiting.first().map(|taken| taken.asked.request_id.to_string()) else {
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

/// Asks for each once, and says how many have an outcome now. Before, `done` had.
async fn round(
    purchase: &ServiceClient,
    waiting: &mut [&mut Taken],
    progress: &Progress,
    done: u64,
) -> Result<usize, SettleError> {
    stream::iter(waiting)
        .map(|taken| async move {
            let path = format!("/purchases/{}", PurchaseId::of(&taken.asked.request_id));
            let lost = || SettleError::Lost { request_id: taken.asked.request_id.to_string() };
            taken.answer = ask(purchase, &path, progress).await?.ok_or_else(lost)?;
            Ok(usize::from(taken.answer.status.is_outcome()))
        })
        .buffer_unordered(IN_FLIGHT)
        .try_fold(0, async |count, settled| {
            let count = count + settled;
            progress.settled(done + count as u64);
            Ok(count)
        })
        .await
}

/// As [`ServiceClient::get`] does, but with room for the service to say that it is away.
async fn ask(purchase: &ServiceClient, path: &str, progress: &Progress) -> Result<Option<Answer>, ServiceError> {
    let attempt = async || {
        let body = purchase.once(path, purchase.request(Method::GET, path)).await;
        body.inspect_err(|_| progress.step_aside())
    };
    match purchase.persist(attempt).await {
        Ok(body) => purchase.read(path, &body).map(Some),
        Err(ServiceError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
