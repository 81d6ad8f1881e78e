//! Sending the batches: one on its way, so that the service takes the purchases in the order of the file, while the next
//! is built on a thread of its own.

use contracts::{BatchAnswer, Reason, Status};
use money::Money;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Receiver;

use super::batch::{Asked, Batch};
use super::file::FileError;
use super::findings::Findings;
use super::progress::Progress;
use crate::service::{Failed, ServiceClient, ServiceError, ShownProblem, is_away};

const PATH: &str = "/purchases/batch";

/// The answer to a batch is held for so long until all have their outcome: one answer instead of 500 questions
/// afterwards (which took half of the whole time, measured). What is late is asked for in the end.
const PREFER: &str = "wait=2";

/// The parts of a purchase that are compared. The rest, half a million lines, need not be read.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// What has become of it.
    pub status: Status,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// What the seller gets.
    pub total: Option<Money>,
    /// What the customer pays.
    pub charged: Option<Money>,
}

/// A purchase that was taken, and what the service has last said about it.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What was asked.
    pub asked: Asked,
    /// What was answered.
    pub answer: Answer,
}

/// Why sending stopped.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The file is not what it was.
    #[error("stopped after {sent} purchases")]
    File {
        /// So many were answered.
        sent: usize,
        /// Why.
        source: FileError,
    },
    /// The service is away, or refuses a whole batch.
    #[error("stopped before {next}, after {sent} purchases; run it again to go on: nothing is done twice")]
    Service {
        /// The first that was not answered.
        next: String,
        /// So many were.
        sent: usize,
        /// Why.
        source: ServiceError,
    },
}

/// Sends all batches in order; those that were taken, and those that were refused.
/// How far it is, is shown as `progress`.
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

/// Sends a batch once. If even one of its purchases could not be taken now, the whole is to be sent again: it is the
/// same requests, and the order of the file is kept.
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
    // The service is about to say that it is away.
    answers.inspect_err(|_| progress.step_aside())
}

/// Why an answer to a batch cannot be used.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Away(String),
    Strange(String),
}

fn read(body: &[u8], asked: &[Asked]) -> Result<Vec<Result<Answer, String>>, Unfit> {
    let lines: Vec<_> = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    if lines.len() != asked.len() {
        return Err(Unfit::Strange(format!("{} answers to {} purchases", lines.len(), asked.len())));
    }
    lines.into_iter().zip(asked).map(|(line, asked)| read_line(line, asked)).collect()
}

fn read_line(line: &[u8], asked: &Asked) -> Result<Result<Answer, String>, Unfit> {
    let strange = |why: &str| Unfit::Strange(format!("{}: {why}", asked.request_id));
    let unreadable = |error: serde_json::Error| strange(&error.to_string());
    let answer: BatchAnswer<Box<RawValue>> = serde_json::from_slice(line).map_err(unreadable)?;
    if answer.request_id.as_ref() != Some(&asked.request_id.0) {
        return Err(strange("the answer in its place is about another"));
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
    use contracts::ReasonCode;

    use super::super::expected::Verdict;
    use super::*;

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
    fn each_line_is_the_answer_to_one_purchase() {
        check(&[TAKEN, REFUSED], Ok(&[Ok(Status::Confirmed), Err("409 Conflict: other")]));
    }

    #[test]
    fn a_batch_of_which_a_line_cannot_be_taken_now_is_sent_again() {
        let busy = REFUSED.replace("409", "503");
        check(&[TAKEN, &busy], Err(&Unfit::Away("503 Service Unavailable: other".to_owned())));
    }

    #[test]
    fn answers_that_do_not_fit_are_not_used() {
        let strange = |why: &str| Unfit::Strange(why.to_owned());
        check(&[TAKEN], Err(&strange("1 answers to 2 purchases")));
        check(&[REFUSED, TAKEN], Err(&strange("retail-1: the answer in its place is about another")));
        let empty = REFUSED.replacen("409", "200", 1);
        check(&[TAKEN, &empty], Err(&strange("retail-2: success without a purchase")));
    }
}
