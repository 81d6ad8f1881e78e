//! What an actor does besides the rule: tell others, count, log, wait before it tries again.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::FutureExt as _;
use stage::Producer;

use crate::{Backlog, Committed, Metrics, MissingFrame, OnRows, OwnerError, Spans, Wakeups, spans};

/// The first wait after a failure lasts this long or up to twice as long, by chance: those who failed at the same moment
/// do not all come back at the same moment. It doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(25);
/// The longest wait, or twice as long at most: a database that is back is used again within two seconds.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// So many failures in a row are no hiccup: two waits, 75 ms together at least, lie between the first and the last.
const FAILURES_UNTIL_UNREADY: u32 = 3;

/// How an owner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does its work.
    Well,
    /// It cannot commit just now, and goes on trying. Why.
    Failing(String),
    /// It waits for frames that did not come, and looks for them. Which.
    Missing(String),
    /// Another owner has taken over, in this process or another.
    Fenced,
    /// It has stopped for good. Why.
    Stopped(String),
}

/// What others learn from an owner, and how.
#[derive(Clone)]
pub struct Hooks {
    /// Who is woken when there is something to read.
    pub wakeups: Wakeups,
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
    pub(crate) fn committed(&self, committed: &Committed, took: Duration) {
        if let Some(batch_trace) = &committed.batch_trace {
            let trace = spans::batch_of(batch_trace).trace_id();
            tracing::Span::current().record("trace_id", tracing::field::display(trace));
        }
        let (facts, frames, took_us) = (committed.facts, committed.frames.len(), took.as_micros());
        tracing::debug!(facts, frames, took_us, "committed");
        match &self.backlog {
            Some(backlog) => backlog.emitted(&committed.frames),
            None => self.wakeups.notify(&committed.frames),
        }
        (self.on_rows)(&committed.changes);
    }

    /// Shows and counts what has become durable. Nobody waits for it: it comes last.
    pub(crate) fn show(&self, committed: &Committed, took: Duration) {
        self.metrics.batch(committed, took);
        if let Some(batch_trace) = &committed.batch_trace {
            self.spans.committed(batch_trace);
        }
    }

    pub(crate) fn retry(&self, backoff: &mut Backoff, stop: &OwnerError) -> Duration {
        self.metrics.retry();
        let (wait, why) = (backoff.next(), telemetry::chain(stop));
        tracing::warn!(why, wait_ms = wait.as_millis(), "a batch was not committed and is tried again");
        if backoff.failures == FAILURES_UNTIL_UNREADY {
            (self.on_health)(Health::Failing(why));
        }
        wait
    }

    /// Ends a row of failures. `true`: others were told of them.
    pub(crate) fn succeeded(&self, backoff: &mut Backoff) -> bool {
        let has_failed = backoff.failures >= FAILURES_UNTIL_UNREADY;
        if has_failed {
            (self.on_health)(Health::Well);
        }
        *backoff = Backoff::default();
        has_failed
    }

    /// Tells which frames are missing, or that none is any more.
    pub(crate) fn missing(&self, owner: &Producer, missing: &BTreeSet<MissingFrame>) {
        self.metrics.missing(missing.len());
        if missing.is_empty() {
            tracing::info!(%owner, "no frame is missing any more");
            return (self.on_health)(Health::Well);
        }
        let list: Vec<_> = missing.iter().map(MissingFrame::to_string).collect();
        let missing = list.join(", ");
        tracing::warn!(%owner, missing, "nothing more of these producers is applied until a missing frame comes");
        (self.on_health)(Health::Missing(missing));
    }

    pub(crate) fn stopped(&self, stop: &OwnerError) {
        let why = telemetry::chain(stop);
        match stop {
            // Nobody has to do anything about it: the other one does the work.
            OwnerError::Fenced(_) => {
                tracing::warn!(why, "another instance has taken over a partition");
                (self.on_health)(Health::Fenced);
            }
            OwnerError::StageError { .. }
            | OwnerError::Frame { .. }
            | OwnerError::Panicked { .. }
            | OwnerError::Unavailable { .. }
            | OwnerError::InDoubt { .. } => {
                tracing::error!(why, "a partition has stopped");
                (self.on_health)(Health::Stopped(why));
            }
        }
    }
}

/// Runs a turn to its end. A panic in it is a reason to stop like any other: it ends its owner, never silently, and
/// nobody else. What the turn held is dropped, so whoever waits for it is answered.
pub(crate) async fn caught<T>(
    owner: Producer,
    turn: impl Future<Output = Result<T, OwnerError>>,
) -> Result<T, OwnerError> {
    let panic = match AssertUnwindSafe(turn).catch_unwind().await {
        Ok(result) => return result,
        Err(panic) => panic,
    };
    let emitted = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Err(OwnerError::Panicked { owner, message: emitted.unwrap_or("without a word").to_owned() })
}

/// Waits that double up to a limit, each of a length of its own.
pub(crate) struct Backoff {
    waits: ExponentialBackoff,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        let waits = ExponentialBuilder::new().with_min_delay(RETRY_FIRST).with_max_delay(RETRY_MAX);
        Self { waits: waits.with_jitter().without_max_times().build(), failures: 0 }
    }
}

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        self.failures += 1;
        self.waits.next().unwrap_or(RETRY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn waits_double_up_to_two_seconds_and_go_on_for_ever() {
        let mut backoff = Backoff::default();
        for failures in 1..=1_000 {
            let least = (RETRY_FIRST * 2_u32.pow((failures - 1).min(6))).min(RETRY_MAX);
            let wait = backoff.next();
            assert!((least..=2 * least).contains(&wait), "{wait:?} after {failures} failures");
            assert_eq!(backoff.failures, failures);
        }
    }

    #[test]
    fn those_who_fail_together_do_not_come_back_together() {
        let waits: BTreeSet<_> = (0..64).map(|_| Backoff::default().next()).collect();
        assert!(waits.len() > 32, "{waits:?}");
    }
}
