//! One client of the load: a closed loop.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use operator_client::{AttemptError, ServiceClient, ServiceError};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::arguments::Mode;
use crate::orders::{Order, Orders};
use crate::outcomes::Outcomes;
use crate::responses::{read_batch, read_one};
use crate::tally::Tally;

/// How long a response may wait for the outcome.
const WAIT: &str = "wait=10";

/// The longest time to an outcome. After it, the purchase is stuck.
const OUTCOME_MAX: Duration = Duration::from_secs(60);

/// The first of every so many requests of a client does not wait for the outcome: enough to measure the times, few
/// enough to cost little.
const ACCEPTANCE_EVERY: u64 = 8;

/// What the response to a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitFor {
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

/// A request that has its first response.
struct Sent {
    order: Order,
    at: Instant,
    wait_for: WaitFor,
    outcomes: Outcomes,
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
    /// Whether a client waits for outcomes only at the end.
    pub no_wait: bool,
}

impl Client<'_> {
    /// Sends one request after the other until the end. After that, all sent purchases have their outcome.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn run(&self) -> Result<(), LoadError> {
        let mut open = Vec::new();
        for turn in 0.. {
            if Instant::now() >= self.end {
                break;
            }
            let is_unwaited = self.no_wait || turn % ACCEPTANCE_EVERY == 0;
            let wait_for = if is_unwaited { WaitFor::Acceptance } else { WaitFor::Outcome };
            let sent = self.accept(self.orders.next(), wait_for).await?;
            if self.no_wait {
                open.push(sent);
            } else {
                self.settle(sent).await?;
            }
        }
        for sent in open {
            self.settle(sent).await?;
        }
        Ok(())
    }

    /// Sends a request and gets its first response.
    async fn accept(&self, order: Order, wait_for: WaitFor) -> Result<Sent, LoadError> {
        self.tally.borrow_mut().counts.attempted += order.purchases;
        let at = Instant::now();
        let outcomes = self.send(&order, wait_for).await?;
        let answered = Instant::now();
        let mut tally = self.tally.borrow_mut();
        tally.acknowledged(answered, outcomes.acknowledged());
        if wait_for == WaitFor::Acceptance {
            tally.accepted_after(at, answered);
        }
        Ok(Sent { order, at, wait_for, outcomes })
    }

    /// Waits until all purchases of a request have their outcome.
    async fn settle(&self, sent: Sent) -> Result<(), LoadError> {
        let Sent { order, at, wait_for, mut outcomes } = sent;
        let since = Instant::now();
        while outcomes.open > 0 {
            if since.elapsed() > OUTCOME_MAX {
                return Err(LoadError::Stuck { first: self.orders.request_id(order.first), open: outcomes.open });
            }
            outcomes = self.send(&order, WaitFor::Outcome).await?;
        }
        let settled = Instant::now();
        let mut tally = self.tally.borrow_mut();
        if wait_for == WaitFor::Outcome {
            tally.settled_after(at, settled);
        }
        tally.ended(settled, outcomes);
        Ok(())
    }

    /// Sends a request until it gets a response.
    async fn send(&self, order: &Order, wait_for: WaitFor) -> Result<Outcomes, LoadError> {
        let response = self.purchase.retry(async || {
            let attempt = self.attempt(order, wait_for).await;
            match &attempt {
                Ok(outcomes) => self.tally.borrow_mut().counts.responses(&outcomes.statuses),
                Err(AttemptError::Transient { status, why, .. }) => {
                    self.tally.borrow_mut().counts.retried(*status, why)
                }
                Err(AttemptError::Permanent(_)) => {}
            }
            attempt
        });
        response.await.map_err(|source| LoadError::ServiceClient { next: self.orders.request_id(order.first), source })
    }

    async fn attempt(&self, order: &Order, wait_for: WaitFor) -> Result<Outcomes, AttemptError> {
        let (path, content_type) = match self.orders.mode {
            Mode::Single => ("/purchases", "application/json"),
            Mode::Batch => ("/purchases/batch", web::NDJSON),
        };
        let mut request = self.purchase.request(Method::POST, path).header(CONTENT_TYPE, content_type);
        if self.orders.mode == Mode::Single {
            request = request.header("Idempotency-Key", self.orders.request_id(order.first));
        }
        if wait_for == WaitFor::Outcome {
            request = request.header("Prefer", WAIT);
        }
        let (status, body) = self.purchase.exchange(path, request.body(order.body.clone())).await?;
        let read = match self.orders.mode {
            Mode::Single => read_one(status, &body),
            Mode::Batch => self.read_batch(order, &body),
        };
        read.map_err(|why| AttemptError::Permanent(self.purchase.unexpected(path, &why)))
    }

    fn read_batch(&self, order: &Order, body: &Bytes) -> Result<Outcomes, String> {
        let ids = (order.first..order.first + order.purchases).map(|number| self.orders.request_id(number));
        read_batch(body, ids)
    }
}
