//! Sends the batches, one at a time, so that the service accepts the purchases in the order of the file. Meanwhile the
//! next batch is built on a separate thread.

use contracts::BatchItemResult;
use operator_client::{Failed, Progress, ServiceClient, ServiceError, ShownProblem, is_away};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::value::RawValue;
use tokio::sync::mpsc::Receiver;

use crate::batch::Batch;
use crate::file::FileError;
use crate::findings::Findings;
use crate::taken::{Answer, Asked, Taken};

const PATH: &str = "/purchases/batch";

/// How long the response to a batch may wait for the outcomes: one response instead of 500 requests afterwards, which
/// took half of the whole time when measured. Outcomes that come later are requested at the end.
const PREFER: &str = "wait=2";

/// Why sending stopped.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The file is not the same as in the first pass.
    #[error("stopped after {sent} purchases")]
    File {
        /// The number of purchases with a response.
        sent: usize,
        /// The cause.
        source: FileError,
    },
    /// The service is unavailable, or refuses a whole batch.
    #[error("stopped before {next}, after {sent} purchases; run it again to continue: nothing is done twice")]
    Service {
        /// The first purchase without a response.
        next: String,
        /// The number of purchases with a response.
        sent: usize,
        /// The cause.
        source: ServiceError,
    },
}

/// Sends all batches in order. Returns the accepted purchases, and findings about the refused ones.
/// The progress is shown as `progress`.
///
/// # Errors
/// [`SendError`].
pub async fn send(
    purchase: &ServiceClient,
    mut batches: Receiver<Result<Batch, FileError>>,
    progress: Progress,
) -> Result<(Vec<Taken>, Findings), SendError> {
    let (mut taken, mut problems, mut sent) = (Vec::<Taken>::new(), Findings::default(), 0);
    let mut settled = 0;
    while let Some(batch) = batches.recv().await {
        let batch = batch.map_err(|source| SendError::File { sent, source })?;
        let answers = purchase.persist(async || attempt(purchase, &batch, &progress).await).await;
        let answers = answers.map_err(|source| {
            let next = batch.asked.first().map(|asked| asked.request_id.to_string());
            SendError::Service { next: next.unwrap_or_default(), sent, source }
        })?;
        sent += batch.asked.len();
        for (asked, answer) in batch.asked.into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    settled += u64::from(answer.status.is_outcome());
                    taken.push(Taken { asked, answer });
                }
                Err(problem) => problems.add(format!("{}: {problem}", asked.request_id)),
            }
        }
        progress.sent(sent as u64, settled);
    }
    Ok((taken, problems))
}

/// Sends a batch once. If only one of its purchases fails temporarily, the whole batch has to be sent again: the
/// requests stay the same, and the order of the file is kept.
async fn attempt(
    purchase: &ServiceClient,
    batch: &Batch,
    progress: &Progress,
) -> Result<Vec<Result<Answer, String>>, Failed> {
    let request = purchase.request(Method::POST, PATH).header(CONTENT_TYPE, web::NDJSON).header("Prefer", PREFER);
    let body = purchase.once(PATH, request.body(batch.body.clone())).await;
    let answers = body.and_then(|body| {
        read(&body, &batch.asked).map_err(|unfit| match unfit {
            Unfit::Away(why) => Failed::Away { why, retry_after: None, status: None },
            Unfit::Strange(why) => Failed::Ended(purchase.strange(PATH, &why)),
        })
    });
    // The client is about to print that the service is unavailable.
    answers.inspect_err(|_| progress.step_aside())
}

/// Why a response to a batch cannot be used.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Away(String),
    Strange(String),
}

fn read(body: &[u8], asked: &[Asked]) -> Result<Vec<Result<Answer, String>>, Unfit> {
    let lines: Vec<_> = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    if lines.len() != asked.len() {
        return Err(Unfit::Strange(format!("{} responses to {} purchases", lines.len(), asked.len())));
    }
    lines.into_iter().zip(asked).map(|(line, asked)| read_line(line, asked)).collect()
}

fn read_line(line: &[u8], asked: &Asked) -> Result<Result<Answer, String>, Unfit> {
    let strange = |why: &str| Unfit::Strange(format!("{}: {why}", asked.request_id));
    let unreadable = |error: serde_json::Error| strange(&error.to_string());
    let answer: BatchItemResult<Box<RawValue>> = serde_json::from_slice(line).map_err(unreadable)?;
    if answer.request_id.as_ref() != Some(&asked.request_id.0) {
        return Err(strange("the response in its place is for another purchase"));
    }
    let status = StatusCode::from_u16(answer.http_status).map_err(|error| strange(&error.to_string()))?;
    if let (true, Some(purchase)) = (status.is_success(), answer.purchase) {
        return serde_json::from_str(purchase.get()).map(Ok).map_err(unreadable);
    }
    let problem = answer.problem.and_then(|raw| serde_json::from_str::<ShownProblem>(raw.get()).ok());
    let problem = format!("{status}: {}", problem.map(|problem| problem.detail).unwrap_or_default());
    match status {
        _ if is_away(status) => Err(Unfit::Away(problem)),
        _ if status.is_success() => Err(strange("success without a purchase")),
        _ => Ok(Err(problem)),
    }
}

#[cfg(test)]
mod tests {
    use contracts::{ReasonCode, Status};

    use super::*;
    use crate::verdict::Verdict;

    const TAKEN: &str = r#"{"request_id":"retail-1","http_status":202,"purchase":{"id":"x","status":"confirmed",
        "reason":null,"total":{"amount":"1.00","currency":"GBP"},"charged":{"amount":"1.19","currency":"EUR"}}}"#;
    const REFUSED: &str = r#"{"request_id":"retail-2","http_status":409,"problem":{"status":409,"detail":"other"}}"#;

    fn check(lines: &[&str], expected: Result<&[Result<Status, &str>], &Unfit>) {
        let asked = ["retail-1", "retail-2"].map(|id| Asked {
            request_id: contracts::request_id(id).unwrap(),
            customer: "17850".parse().unwrap(),
            verdict: Verdict::Rejected(ReasonCode::NoRate),
        });
        let body: String = lines.iter().map(|line| line.replace('\n', "") + "\n").collect();
        let found = read(body.as_bytes(), &asked);
        let found = found.map(|all| all.into_iter().map(|one| one.map(|answer| answer.status)).collect::<Vec<_>>());
        let expected = expected.map(|all| all.iter().map(|one| one.map_err(str::to_owned)).collect::<Vec<_>>());
        assert_eq!(found.as_ref(), expected.as_ref().map_err(|unfit| *unfit));
    }

    #[test]
    fn each_line_is_the_response_to_one_purchase() {
        check(&[TAKEN, REFUSED], Ok(&[Ok(Status::Confirmed), Err("409 Conflict: other")]));
    }

    #[test]
    fn a_batch_with_a_temporary_failure_in_one_line_is_sent_again() {
        let busy = REFUSED.replace("409", "503");
        check(&[TAKEN, &busy], Err(&Unfit::Away("503 Service Unavailable: other".to_owned())));
    }

    #[test]
    fn responses_that_do_not_fit_are_not_used() {
        let strange = |why: &str| Unfit::Strange(why.to_owned());
        check(&[TAKEN], Err(&strange("1 responses to 2 purchases")));
        check(&[REFUSED, TAKEN], Err(&strange("retail-1: the response in its place is for another purchase")));
        let empty = REFUSED.replacen("409", "200", 1);
        check(&[TAKEN, &empty], Err(&strange("retail-2: success without a purchase")));
    }
}
