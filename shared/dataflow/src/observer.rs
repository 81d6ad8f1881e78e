//! The observer of an owner: it notifies readers of a commit, counts, traces, logs, and reports health.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stage::{Change, Producer};

use crate::backoff::Backoff;
use crate::health::Health;
use crate::{Backlog, Committed, Metrics, MissingFrame, OwnerError, RecentCommits, Spans, Wakeups, spans};

/// The number of consecutive failures before an owner is reported as failing. The pauses between them add up to at
/// least 75 ms.
const FAILURES_UNTIL_UNREADY: u32 = 3;

/// Receives every row that a commit has made durable.
pub type OnRows = Arc<dyn Fn(&[Change]) + Send + Sync>;

/// Receives the commits and the health of one owner, and passes them on.
#[derive(Clone)]
pub struct Observer {
    /// Readers in this process to notify of new frames.
    pub wakeups: Wakeups,
    /// Frames that wait to be published, if the transport is a broker.
    pub backlog: Option<Backlog>,
    /// Metrics of the owner.
    pub metrics: Metrics,
    /// Spans of traced requests.
    pub spans: Spans,
    /// Receives every row that a commit has made durable.
    pub on_rows: OnRows,
    /// Remembers the times of the latest commits.
    pub recent_commits: RecentCommits,
    /// The owner.
    pub owner: Producer,
    /// Receives the health of the owner when it changes.
    pub on_health: Arc<dyn Fn(Health) + Send + Sync>,
}

impl Observer {
    /// Passes on what a commit has made durable.
    pub(crate) fn committed(&self, committed: &Committed, took: Duration) {
        if let Some(batch_trace) = &committed.batch_trace {
            let trace = spans::batch_of(batch_trace).trace_id();
            tracing::Span::current().record("trace_id", tracing::field::display(trace));
        }
        let (facts, frames, took_us) = (committed.facts, committed.frames.len(), took.as_micros());
        tracing::debug!(facts, frames, took_us, "committed");
        if let Some((batch, at)) = committed.batch {
            self.recent_commits.note(&self.owner, batch, at);
        }
        match &self.backlog {
            Some(backlog) => backlog.emitted(&committed.frames),
            None => self.wakeups.notify(&committed.frames),
        }
        (self.on_rows)(&committed.changes);
    }

    /// Counts and traces a commit. Nothing waits for it, so it comes last.
    pub(crate) fn show(&self, committed: &Committed, took: Duration) {
        self.metrics.batch(committed, took);
        if let Some(batch_trace) = &committed.batch_trace {
            self.spans.committed(batch_trace);
        }
    }

    pub(crate) fn retry(&self, backoff: &mut Backoff, stop: &OwnerError) -> Duration {
        self.metrics.retry();
        let (wait, why) = (backoff.next(), telemetry::error_chain(stop));
        tracing::warn!(why, wait_ms = wait.as_millis(), "a batch was not committed and will be retried");
        if backoff.failures == FAILURES_UNTIL_UNREADY {
            (self.on_health)(Health::Failing(why));
        }
        wait
    }

    /// Ends a series of failures. `true` if it had been reported.
    pub(crate) fn succeeded(&self, backoff: &mut Backoff) -> bool {
        let has_failed = backoff.failures >= FAILURES_UNTIL_UNREADY;
        if has_failed {
            (self.on_health)(Health::Well);
        }
        *backoff = Backoff::default();
        has_failed
    }

    /// Reports the missing frames, or that none is missing any more.
    pub(crate) fn missing(&self, owner: &Producer, missing: &BTreeSet<MissingFrame>) {
        self.metrics.missing(missing.len());
        if missing.is_empty() {
            tracing::info!(%owner, "no frame is missing any more");
            return (self.on_health)(Health::Well);
        }
        let list: Vec<_> = missing.iter().map(MissingFrame::to_string).collect();
        let missing = list.join(", ");
        tracing::warn!(%owner, missing, "no later frame of these producers is applied until the missing frames arrive");
        (self.on_health)(Health::Missing(missing));
    }

    pub(crate) fn stopped(&self, stop: &OwnerError) {
        let why = telemetry::error_chain(stop);
        match stop {
            // No action is needed: the other instance does the work.
            OwnerError::Fenced(_) => {
                tracing::warn!(why, "another instance has taken over a partition");
                (self.on_health)(Health::Fenced);
            }
            OwnerError::Stage { .. }
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
