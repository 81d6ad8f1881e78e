//! What an actor does besides the rule: tell others, count, log, wait before it tries again.

use std::sync::Arc;
use std::time::Duration;

use crate::{Bells, Committed, Metrics, OnRows, Stop};

/// The first wait after a failure; it doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest wait: a database that is back is used again within this time.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What others learn from an owner, and how.
#[derive(Clone)]
pub struct Hooks {
    /// Who reads what it says.
    pub bells: Bells,
    /// What it counts.
    pub metrics: Metrics,
    /// Sees every row that has become durable.
    pub on_rows: OnRows,
    /// Hears that it stopped for good, and why.
    pub on_stop: Arc<dyn Fn(String) + Send + Sync>,
}

impl Hooks {
    /// Tells what has become durable.
    pub(crate) fn committed<A>(&self, committed: &Committed<A>, took: Duration) {
        self.metrics.batch(committed.facts, took);
        self.bells.ring(&committed.frames);
        (self.on_rows)(&committed.changes);
    }

    pub(crate) fn retry(&self, backoff: &mut Backoff, stop: &Stop) -> Duration {
        self.metrics.retry();
        let wait = backoff.next();
        let error = stop as &dyn std::error::Error;
        tracing::warn!(error, wait_ms = wait.as_millis(), "a batch was not committed and is tried again");
        wait
    }

    pub(crate) fn stopped(&self, stop: &Stop) {
        tracing::error!(error = stop as &dyn std::error::Error, "a partition has stopped");
        let mut reason = stop.to_string();
        let mut source = std::error::Error::source(stop);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        (self.on_stop)(reason);
    }
}

/// Waits that double up to a limit.
pub(crate) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(RETRY_FIRST)
    }
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(RETRY_MAX);
        wait
    }
}
