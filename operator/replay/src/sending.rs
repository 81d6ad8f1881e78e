//! Sends the batches, one at a time, so that the service accepts the purchases in the order of the file, and the returns
//! too. Meanwhile the next batch is built on a separate thread.

use operator_client::{AttemptError, ProblemDetails, Progress, ServiceClient, ServiceError, is_transient};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use stage::RequestId;
use tokio::sync::mpsc::Receiver;

use crate::batch::Batch;
use crate::file::FileError;
use crate::findings::Findings;
use crate::purchase::{Accepted, Response, ReturnResponse};
use crate::request_kind::RequestKind;

/// The path of a batch of cancellations.
pub const CANCELLATIONS: &str = "/purchases/cancellations";

/// How long the response to a batch may wait for the outcomes: one response instead of 500 requests afterwards, which
/// took half of the whole time when measured. Outcomes that come later are requested at the end.
const PREFER: &str = "wait=2";

/// Why sending stopped.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The file is not the same as in the first pass.
    #[error("stopped after {sent} invoices")]
    File {
        /// The number of invoices with a response.
        sent: usize,
        /// The cause.
        source: FileError,
    },
    /// The service is unavailable, or refuses a whole batch.
    #[error("stopped before {next}, after {sent} invoices; run it again to continue: nothing is done twice")]
    Service {
        /// The first invoice without a response.
        next: String,
        /// The number of invoices with a response.
        sent: usize,
        /// The cause.
        source: ServiceError,
    },
}

/// Sends all batches in order. Returns the accepted purchases and returns, and findings about the refused ones.
/// The progress is shown as `progress`.
///
/// # Errors
/// [`SendError`].
pub async fn send(
    purchase: &ServiceClient,
    mut batches: Receiver<Result<Batch, FileError>>,
    progress: Progress,
) -> Result<(Vec<Accepted>, Findings), SendError> {
    let (mut accepted, mut problems, mut sent) = (Vec::<Accepted>::new(), Findings::default(), 0);
    let mut settled = 0;
    while let Some(batch) = batches.recv().await {
        let batch = batch.map_err(|source| SendError::File { sent, source })?;
        let ids: Vec<_> = batch.submissions.iter().map(|submission| submission.request_id.clone()).collect();
        let responses = responses(purchase, &batch, &ids, &progress).await;
        let responses = responses.map_err(|source| {
            let next = batch.submissions.first().map(|submission| submission.request_id.to_string());
            SendError::Service { next: next.unwrap_or_default(), sent, source }
        })?;
        sent += batch.submissions.len();
        for (submission, response) in batch.submissions.into_iter().zip(responses) {
            match response {
                Ok(response) => {
                    settled += u64::from(response.status.is_outcome());
                    accepted.push(Accepted { submission, response });
                }
                Err(problem) => problems.add(format!("{}: {problem}", submission.request_id)),
            }
        }
        progress.sent(sent as u64, settled);
    }
    Ok((accepted, problems))
}

/// The response to each request of a batch.
async fn responses(
    purchase: &ServiceClient,
    batch: &Batch,
    ids: &[RequestId],
    progress: &Progress,
) -> Result<Vec<Result<Response, String>>, ServiceError> {
    let path = batch.kind.batch_path();
    match batch.kind {
        RequestKind::Purchase => {
            purchase.retry(async || attempt(purchase, path, &batch.body, ids, progress).await).await
        }
        RequestKind::Return => {
            let attempt = async || attempt::<ReturnResponse>(purchase, path, &batch.body, ids, progress).await;
            let responses = purchase.retry(attempt).await?;
            Ok(responses.into_iter().map(|response| response.map(Response::from)).collect())
        }
    }
}

/// Sends a batch about these purchases once, as NDJSON. If only one of them fails temporarily, the whole batch has to be
/// sent again: the requests stay the same, and the order of the file is kept. The result has the response to each
/// purchase, or its problem.
///
/// # Errors
/// [`AttemptError`].
pub async fn attempt<T: DeserializeOwned>(
    purchase: &ServiceClient,
    path: &str,
    batch: &[u8],
    ids: &[RequestId],
    progress: &Progress,
) -> Result<Vec<Result<T, String>>, AttemptError> {
    let request = purchase.request(Method::POST, path).header(CONTENT_TYPE, web::NDJSON).header("Prefer", PREFER);
    let body = purchase.once(path, request.body(batch.to_vec())).await;
    let responses = body.and_then(|body| {
        read(&body, ids).map_err(|unfit| match unfit {
            Unfit::Transient(why) => AttemptError::Transient { why, retry_after: None, status: None },
            Unfit::Unexpected(why) => AttemptError::Permanent(purchase.unexpected(path, &why)),
        })
    });
    // The client is about to print that the service is unavailable.
    responses.inspect_err(|_| progress.step_aside())
}

/// A line of the response to a batch.
#[derive(Deserialize)]
struct ItemResult {
    request_id: Option<String>,
    http_status: u16,
    /// The purchase or the return.
    #[serde(alias = "purchase", alias = "return")]
    accepted: Option<Box<RawValue>>,
    problem: Option<Box<RawValue>>,
}

/// Why a response to a batch cannot be used.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Transient(String),
    Unexpected(String),
}

fn read<T: DeserializeOwned>(body: &[u8], ids: &[RequestId]) -> Result<Vec<Result<T, String>>, Unfit> {
    let lines: Vec<_> = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    if lines.len() != ids.len() {
        return Err(Unfit::Unexpected(format!("{} responses to {} purchases", lines.len(), ids.len())));
    }
    lines.into_iter().zip(ids).map(|(line, id)| read_line(line, id)).collect()
}

fn read_line<T: DeserializeOwned>(line: &[u8], id: &RequestId) -> Result<Result<T, String>, Unfit> {
    let unexpected = |why: &str| Unfit::Unexpected(format!("{id}: {why}"));
    let unreadable = |error: serde_json::Error| unexpected(&error.to_string());
    let response: ItemResult = serde_json::from_slice(line).map_err(unreadable)?;
    if response.request_id.as_ref() != Some(&id.0) {
        return Err(unexpected("the response in its place is for another purchase"));
    }
    let status = StatusCode::from_u16(response.http_status).map_err(|error| unexpected(&error.to_string()))?;
    if let (true, Some(accepted)) = (status.is_success(), response.accepted) {
        return serde_json::from_str(accepted.get()).map(Ok).map_err(unreadable);
    }
    let problem = response.problem.and_then(|raw| serde_json::from_str::<ProblemDetails>(raw.get()).ok());
    let problem = format!("{status}: {}", problem.map(|problem| problem.detail).unwrap_or_default());
    match status {
        _ if is_transient(status) => Err(Unfit::Transient(problem)),
        _ if status.is_success() => Err(unexpected("success without a purchase")),
        _ => Ok(Err(problem)),
    }
}

#[cfg(test)]
mod tests {
    use contracts::Status;

    use super::*;

    const TAKEN: &str = r#"{"request_id":"retail-1","http_status":202,"purchase":{"id":"x","status":"confirmed",
        "reason":null,"total":{"amount":"1.00","currency":"GBP"},"charged":{"amount":"1.19","currency":"EUR"}}}"#;
    const REFUSED: &str = r#"{"request_id":"retail-2","http_status":409,"problem":{"status":409,"detail":"other"}}"#;

    fn check(lines: &[&str], expected: Result<&[Result<Status, &str>], &Unfit>) {
        let ids = ["retail-1", "retail-2"].map(|id| contracts::request_id(id).unwrap());
        let body: String = lines.iter().map(|line| line.replace('\n', "") + "\n").collect();
        let found = read::<Response>(body.as_bytes(), &ids);
        let found = found.map(|all| all.into_iter().map(|one| one.map(|response| response.status)).collect::<Vec<_>>());
        let expected = expected.map(|all| all.iter().map(|one| one.map_err(str::to_owned)).collect::<Vec<_>>());
        assert_eq!(found.as_ref(), expected.as_ref().map_err(|unfit| *unfit));
    }

    #[test]
    fn each_line_is_the_response_to_one_purchase() {
        check(&[TAKEN, REFUSED], Ok(&[Ok(Status::Confirmed), Err("409 Conflict: other")]));
    }

    #[test]
    fn a_line_about_a_return_is_read_like_one_about_a_purchase() {
        let line = r#"{"request_id":"retail-C1","http_status":201,"return":{"id":"x","status":"settled","reason":null,
            "total":{"amount":"1.00","currency":"GBP"},"refunded":{"amount":"1.19","currency":"EUR"}}}"#;
        let line = line.replace('\n', "");
        let found = read::<ReturnResponse>(line.as_bytes(), &[contracts::request_id("retail-C1").unwrap()]).unwrap();
        let found = found.into_iter().next().unwrap().map(Response::from).unwrap();
        assert_eq!((found.status, found.charged.unwrap().to_string().as_str()), (Status::Settled, "1.19 EUR"));
    }

    #[test]
    fn a_batch_with_a_temporary_failure_in_one_line_is_sent_again() {
        let busy = REFUSED.replace("409", "503");
        check(&[TAKEN, &busy], Err(&Unfit::Transient("503 Service Unavailable: other".to_owned())));
    }

    #[test]
    fn responses_that_do_not_fit_are_not_used() {
        let unexpected = |why: &str| Unfit::Unexpected(why.to_owned());
        check(&[TAKEN], Err(&unexpected("1 responses to 2 purchases")));
        check(&[REFUSED, TAKEN], Err(&unexpected("retail-1: the response in its place is for another purchase")));
        let empty = REFUSED.replacen("409", "200", 1);
        check(&[TAKEN, &empty], Err(&unexpected("retail-2: success without a purchase")));
    }
}
