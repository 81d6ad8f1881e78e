//! One client of the load: a closed loop.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use contracts::Status;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Mode;
use super::orders::{Order, Orders};
use super::tally::Tally;
use crate::service::{Failed, ServiceClient, ServiceError, ShownProblem};

/// How long a response may wait for the outcome.
const WAIT: &str = "wait=10";

/// The longest time to an outcome. After it, the purchase is stuck.
const OUTCOME_MAX: Duration = Duration::from_secs(60);

/// The first of every so many requests of a client does not wait for the outcome: enough to measure the times, few
/// enough to cost little.
const ACCEPTANCE_EVERY: u64 = 8;

/// What the response to a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Acceptance,
    Outcome,
}

/// Why the load had to stop.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The service is unavailable, or refuses a request.
    #[error("stopped before {next}")]
    ServiceClient {
        /// The first purchase without a response.
        next: String,
        /// The cause.
        source: ServiceError,
    },
    /// Some outcomes are missing.
    #[error("{open} purchases from {first} on have had no outcome for {} s", OUTCOME_MAX.as_secs())]
    Stuck {
        /// The first purchase of the request.
        first: String,
        /// The number of its purchases without an outcome.
        open: u64,
    },
}

/// The results of the purchases of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Became {
    /// Paid.
    pub settled: u64,
    /// Recorded, and rejected for a business reason.
    pub rejected: u64,
    /// Recorded, and without an outcome so far.
    pub open: u64,
    /// Not recorded.
    pub failed: u64,
    /// Why the first of those was not recorded.
    pub why: Option<String>,
    /// The HTTP status of each.
    pub statuses: Vec<u16>,
}

impl Became {
    /// The number of recorded purchases.
    pub fn acknowledged(&self) -> u64 {
        self.settled + self.rejected + self.open
    }

    fn add(&mut self, http_status: u16, status: Option<Status>) {
        self.statuses.push(http_status);
        match status {
            Some(Status::Settled) => self.settled += 1,
            Some(Status::Rejected) => self.rejected += 1,
            Some(Status::Confirmed) => self.open += 1,
            None => self.failed += 1,
        }
    }
}

/// The state that all clients share.
pub struct Client<'a> {
    /// The purchase service.
    pub purchase: &'a ServiceClient,
    /// The requests to send.
    pub orders: &'a Orders,
    /// The results so far.
    pub tally: &'a RefCell<Tally>,
    /// When to stop sending.
    pub end: Instant,
}

impl Client<'_> {
    /// Sends one request after the other until the end. After that, all sent purchases have their outcome.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn run(&self) -> Result<(), LoadError> {
        for turn in 0.. {
            if Instant::now() >= self.end {
                break;
            }
            let asks_for = if turn % ACCEPTANCE_EVERY == 0 { For::Acceptance } else { For::Outcome };
            self.order(&self.orders.next(), asks_for).await?;
        }
        Ok(())
    }

    async fn order(&self, order: &Order, asks_for: For) -> Result<(), LoadError> {
        self.tally.borrow_mut().counts.attempted += order.purchases;
        let sent = Instant::now();
        let mut became = self.ask(order, asks_for).await?;
        let answered = Instant::now();
        self.tally.borrow_mut().acknowledged(answered, became.acknowledged());
        if asks_for == For::Acceptance {
            self.tally.borrow_mut().accepted_after(sent, answered);
        }
        while became.open > 0 {
            if sent.elapsed() > OUTCOME_MAX {
                return Err(LoadError::Stuck { first: self.orders.request_id(order.first), open: became.open });
            }
            became = self.ask(order, For::Outcome).await?;
        }
        let settled = Instant::now();
        let mut tally = self.tally.borrow_mut();
        if asks_for == For::Outcome {
            tally.settled_after(sent, settled);
        }
        tally.ended(settled, became);
        Ok(())
    }

    /// Sends a request until it gets a response.
    async fn ask(&self, order: &Order, asks_for: For) -> Result<Became, LoadError> {
        let answer = self.purchase.persist(async || {
            let attempt = self.attempt(order, asks_for).await;
            match &attempt {
                Ok(became) => self.tally.borrow_mut().counts.answers(&became.statuses),
                Err(Failed::Away { status, why, .. }) => self.tally.borrow_mut().counts.away(*status, why),
                Err(Failed::Ended(_)) => {}
            }
            attempt
        });
        answer.await.map_err(|source| LoadError::ServiceClient { next: self.orders.request_id(order.first), source })
    }

    async fn attempt(&self, order: &Order, asks_for: For) -> Result<Became, Failed> {
        let (path, content_type) = match self.orders.mode {
            Mode::Single => ("/purchases", "application/json"),
            Mode::Batch => ("/purchases/batch", web::NDJSON),
        };
        let mut request = self.purchase.request(Method::POST, path).header(CONTENT_TYPE, content_type);
        if self.orders.mode == Mode::Single {
            request = request.header("Idempotency-Key", self.orders.request_id(order.first));
        }
        if asks_for == For::Outcome {
            request = request.header("Prefer", WAIT);
        }
        let (status, body) = self.purchase.exchange(path, request.body(order.body.clone())).await?;
        let read = match self.orders.mode {
            Mode::Single => read_one(status, &body),
            Mode::Batch => self.read_batch(order, &body),
        };
        read.map_err(|why| Failed::Ended(self.purchase.strange(path, &why)))
    }

    fn read_batch(&self, order: &Order, body: &Bytes) -> Result<Became, String> {
        let ids = (order.first..order.first + order.purchases).map(|number| self.orders.request_id(number));
        read_batch(body, ids)
    }
}

/// The part of a purchase that is parsed; the rest is skipped.
#[derive(Deserialize)]
struct Shown {
    status: Status,
}

/// A line of the response to a batch.
#[derive(Deserialize)]
struct Line<'a> {
    request_id: Option<&'a str>,
    http_status: u16,
    purchase: Option<Shown>,
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

/// Parses the response to one purchase.
pub(super) fn read_one(status: StatusCode, body: &[u8]) -> Result<Became, String> {
    let shown: Shown = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut became = Became::default();
    became.add(status.as_u16(), Some(shown.status));
    Ok(became)
}

/// Parses the response to a batch of purchases with these ids.
pub(super) fn read_batch(body: &[u8], ids: impl Iterator<Item = String>) -> Result<Became, String> {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut became = Became::default();
    for id in ids {
        let line = lines.next().ok_or_else(|| format!("{id} has no response"))?;
        let line: Line<'_> = serde_json::from_slice(line).map_err(|error| format!("{id}: {error}"))?;
        if line.request_id != Some(id.as_str()) {
            return Err(format!("{id}: the response in its place is for another purchase"));
        }
        became.add(line.http_status, line.purchase.map(|shown| shown.status));
        if let Some(problem) = line.problem {
            let problem = serde_json::from_str::<ShownProblem>(problem.get()).map(|problem| problem.detail);
            became.why.get_or_insert_with(|| format!("{}: {}", line.http_status, problem.unwrap_or_default()));
        }
    }
    if lines.next().is_some() {
        return Err("more responses than purchases".to_owned());
    }
    Ok(became)
}
