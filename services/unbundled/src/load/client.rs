//! One client: a closed loop.

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

/// How long an answer is held for the outcome.
const WAIT: &str = "wait=10";

/// A purchase has its outcome within this, or is stuck.
const OUTCOME_MAX: Duration = Duration::from_secs(60);

/// Of so many requests of a client the first asks for acceptance only: enough to know the times, few enough to cost little.
const ACCEPTANCE_EVERY: u64 = 8;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Acceptance,
    Outcome,
}

/// Why it could not go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The service is away, or refuses.
    #[error("stopped before {next}")]
    ServiceClient {
        /// The first purchase that was not answered.
        next: String,
        /// Why.
        source: ServiceError,
    },
    /// Outcomes do not come.
    #[error("{open} purchases from {first} on have had no outcome for {} s", OUTCOME_MAX.as_secs())]
    Stuck {
        /// The first purchase of the request.
        first: String,
        /// How many of it wait.
        open: u64,
    },
}

/// What has become of the purchases of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Became {
    /// Paid.
    pub settled: u64,
    /// Taken, and refused for a reason of the business.
    pub rejected: u64,
    /// Taken, and without an outcome so far.
    pub open: u64,
    /// Not taken.
    pub failed: u64,
    /// The first that was not taken: why.
    pub why: Option<String>,
    /// The status of each.
    pub statuses: Vec<u16>,
}

impl Became {
    /// How many were taken.
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

/// What all clients share.
pub struct Client<'a> {
    /// Whom to ask.
    pub purchase: &'a ServiceClient,
    /// What to send.
    pub orders: &'a Orders,
    /// Where to note it.
    pub tally: &'a RefCell<Tally>,
    /// When to stop.
    pub end: Instant,
}

impl Client<'_> {
    /// Sends one request after the other until the end; all it has sent has its outcome then.
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

    /// Sends a request until it is answered.
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

/// The part of a purchase that is looked at; the rest is skipped, not read.
#[derive(Deserialize)]
struct Shown {
    status: Status,
}

/// A line of a batch's answer.
#[derive(Deserialize)]
struct Line<'a> {
    request_id: Option<&'a str>,
    http_status: u16,
    purchase: Option<Shown>,
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

/// Reads the answer to one purchase.
pub(super) fn read_one(status: StatusCode, body: &[u8]) -> Result<Became, String> {
    let shown: Shown = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut became = Became::default();
    became.add(status.as_u16(), Some(shown.status));
    Ok(became)
}

/// Reads the answer to a batch of purchases with these ids.
pub(super) fn read_batch(body: &[u8], ids: impl Iterator<Item = String>) -> Result<Became, String> {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut became = Became::default();
    for id in ids {
        let line = lines.next().ok_or_else(|| format!("{id} has no answer"))?;
        let line: Line<'_> = serde_json::from_slice(line).map_err(|error| format!("{id}: {error}"))?;
        if line.request_id != Some(id.as_str()) {
            return Err(format!("{id}: the answer in its place is about another"));
        }
        became.add(line.http_status, line.purchase.map(|shown| shown.status));
        if let Some(problem) = line.problem {
            let problem = serde_json::from_str::<ShownProblem>(problem.get()).map(|problem| problem.detail);
            became.why.get_or_insert_with(|| format!("{}: {}", line.http_status, problem.unwrap_or_default()));
        }
    }
    if lines.next().is_some() {
        return Err("more answers than purchases".to_owned());
    }
    Ok(became)
}
