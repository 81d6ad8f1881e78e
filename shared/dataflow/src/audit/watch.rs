//! How far an audit is, for whoever watches it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Inventory;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames and batch records checked.
    pub done: u64,
    /// Of so many.
    pub of: u64,
    /// Facts and requests derived again.
    pub facts: u64,
    /// The stage that is derived, or `journals`.
    pub what: &'static str,
}

/// Somebody who is told after every step.
pub struct Watch {
    progress: Mutex<Progress>,
    tell: Box<dyn Fn(&Progress) + Send + Sync>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.progress.fmt(f)
    }
}

impl Watch {
    /// Who is told.
    pub fn new(tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self { progress: Mutex::default(), tell: Box::new(tell) }
    }

    /// Nobody.
    pub fn nobody() -> Self {
        Self::new(|_| {})
    }

    /// All of this is to be checked too: the frames by themselves, the records when their stage is derived.
    pub(super) fn announce(&self, inventory: &Inventory) {
        let frames = inventory.frames.iter().map(|(_, _, frames)| frames);
        let all: u64 = inventory.records.iter().map(|(_, records)| records).chain(frames).sum();
        self.progress().of += all;
    }

    /// One more is checked.
    pub(super) fn step(&self, what: &'static str, facts: u64) {
        let mut progress = self.progress();
        *progress = Progress { done: progress.done + 1, facts: progress.facts + facts, what, ..*progress };
        (self.tell)(&progress);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
