//! What an actor does besides the rule: tell others, count, log, wait before it tries again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use stage::Producer;

use crate::{Backlog, Bells, Committed, Metrics, OnRows, Spans, Stop, spans};

/// The first wait after a failure; it doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest wait: a database that is back is used again within this time.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// So many failures in a row are no hiccup: two waits, 150 ms together, lie between the first and the last.
const FAILURES_UNTIL_UNREADY: u32 = 3;

/// How an owner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does its work.
    Well,
    /// It cannot commit just now, and goes on trying. Why.
    Failing(String),
    /// Another owner has taken over, in this process or another.
    Fenced,
    /// It has stopped for good. Why.
    Stopped(String),
}

/// What others learn from an owner, and how.
#[derive(Clone)]
pub struct Hooks {
    /// Who is woken when there is something to read.
    pub bells: Bells,
    /// What waits to be published, where a broker carries what is said.
    pub backlog: Option<Backlog>,
    /// What it counts.
    pub metrics: Metrics,
    /// Who shows what it did for requests that are traced.
    pub spans: Spans,
    /// Sees every row that has become durable.
    pub on_rows: OnRows,
    /// Hears how it is.
    pub on_health: Arc<dyn Fn(Health) + Send + Sync>,
}

impl Hooks {
    /// Tells what has become durable.
    pub(crate) fn committed<A>(&self, committed: &Committed<A>, took: Duration) {
        if let Some(trail) = &committed.trail {
            let trace = spans::batch_of(trail).trace_id();
            tracing::Span::current().record("trace_id", tracing::field::display(trace));
        }
        let (facts, frames, took_us) = (committed.facts, committed.frames.len(), took.as_micros());
        tracing::debug!(facts, frames, took_us, "committed");
        match &self.backlog {
            Some(backlog) => backlog.said(&committed.frames),
            None => self.bells.ring(&committed.frames),
        }
        (self.on_rows)(&committed.changes);
    }

    /// Shows and counts what has become durable. Nobody waits for it: it comes last.
    pub(crate) fn show<A>(&self, committed: &Committed<A>, took: Duration) {
        self.metrics.batch(committed, took);
        if let Some(trail) = &committed.trail {
            self.spans.committed(trail);
        }
    }

    pub(crate) fn retry(&self, backoff: &mut Backoff, stop: &Stop) -> Duration {
        self.metrics.retry();
        let (wait, why) = (backoff.next(), telemetry::chain(stop));
        tracing::warn!(why, wait_ms = wait.as_millis(), "a batch was not committed and is tried again");
        if backoff.failures == FAILURES_UNTIL_UNREADY {
            (self.on_health)(Health::Failing(why));
        }
        wait
    }

    /// Ends a row of failures.
    pub(crate) fn went_well(&self, backoff: &mut Backoff) {
        if backoff.failures >= FAILURES_UNTIL_UNREADY {
            (self.on_health)(Health::Well);
        }
        *backoff = Backoff::default();
    }

    pub(crate) fn stopped(&self, stop: &Stop) {
        let why = telemetry::chain(stop);
        match stop {
            // Nobody has to do anything about it: the other one does the work.
            Stop::Fenced(_) => {
                tracing::warn!(why, "another instance has taken over a partition");
                (self.on_health)(Health::Fenced);
            }
            Stop::Broken { .. }
            | Stop::Frame { .. }
            | Stop::Panicked { .. }
            | Stop::Unavailable { .. }
            | Stop::Doubtful { .. } => {
                tracing::error!(why, "a partition has stopped");
                (self.on_health)(Health::Stopped(why));
            }
        }
    }
}

/// Runs a turn to its end. A panic in it is a reason to stop like any other: it ends its owner, never silently, and
/// nobody else. What the turn held is dropped, so whoever waits for it is answered.
pub(crate) async fn caught<T>(owner: Producer, turn: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let panic = match AssertUnwindSafe(turn).catch_unwind().await {
        Ok(result) => return result,
        Err(panic) => panic,
    };
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Err(Stop::Panicked { owner, message: said.unwrap_or("without a word").to_owned() })
}

/// Waits that double up to a limit.
pub(crate) struct Backoff {
    next: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: RETRY_FIRST, failures: 0 }
    }
}

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(RETRY_MAX);
        self.failures += 1;
        wait
    }
}
