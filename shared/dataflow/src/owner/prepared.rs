//! A batch before and after its commit.

use std::time::Duration;

use chrono::{DateTime, Utc};
use stage::{BatchNumber, Change, Checkpoint, Frame};

use crate::Commit;
use crate::batch_trace::{Attempts, BatchTrace};

/// A batch ready to be committed.
pub struct Prepared {
    pub(super) commit: Option<Commit>,
    pub(super) checkpoint: Checkpoint,
    pub(super) facts: usize,
    pub(super) arrived_at: Vec<DateTime<Utc>>,
    pub(super) batch_trace: Option<Box<BatchTrace>>,
}

impl Prepared {
    pub(super) fn into_committed(self, attempts: Attempts, commit_took: Option<Duration>) -> Committed {
        let Self { commit, facts, arrived_at, mut batch_trace, .. } = self;
        let batch = commit.as_ref().and_then(|commit| {
            let at = commit.record.committed_at.parse().ok()?;
            Some((commit.record.number, at))
        });
        let (changes, frames) = commit.map(|commit| (commit.changes, commit.frames)).unwrap_or_default();
        if let Some(batch_trace) = &mut batch_trace {
            batch_trace.attempts = attempts;
        }
        Committed { batch, frames, changes, facts, arrived_at, commit_took, batch_trace }
    }

    /// The frames to publish once the batch is committed.
    pub fn frames(&self) -> &[Frame] {
        self.commit.as_ref().map(|commit| commit.frames.as_slice()).unwrap_or_default()
    }
}

/// A batch that is durable.
#[derive(Debug)]
pub struct Committed {
    /// The number of the batch and its commit time; `None` when there was nothing to commit.
    pub batch: Option<(BatchNumber, DateTime<Utc>)>,
    /// The frames that may be published now.
    pub frames: Vec<Frame>,
    /// The rows that were written.
    pub changes: Vec<Change>,
    /// The number of facts or requests in the batch.
    pub facts: usize,
    /// The arrival times of the original requests, one for each fact or request that had an effect.
    pub arrived_at: Vec<DateTime<Utc>>,
    /// How long the commit took; `None` when there was nothing to commit, or the time is unknown.
    pub commit_took: Option<Duration>,
    /// The traced part of the batch.
    pub batch_trace: Option<Box<BatchTrace>>,
}
