//! How far an audit is, for whoever watches it.

use std::cell::Cell;
use std::fmt;

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
    progress: Cell<Progress>,
    tell: Box<dyn Fn(&Progress)>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.progress.fmt(f)
    }
}

impl Watch {
    /// Who is told.
    pub fn new(tell: impl Fn(&Progress) + 'static) -> Self {
        Self { progress: Cell::default(), tell: Box::new(tell) }
    }

    /// Nobody.
    pub fn nobody() -> Self {
        Self::new(|_| {})
    }

    /// All of this is to be checked too: the frames by themselves, the records when their stage is derived.
    pub(super) fn announce(&self, inventory: &Inventory) {
        let frames = inventory.frames.iter().map(|(_, _, frames)| frames);
        let all: u64 = inventory.records.iter().map(|(_, records)| records).chain(frames).sum();
        self.progress.update(|progress| Progress { of: progress.of + all, ..progress });
    }

    /// One more is checked.
    pub(super) fn step(&self, what: &'static str, facts: u64) {
        self.progress.update(|Progress { done, of, facts: before, .. }| Progress {
            done: done + 1,
            of,
            facts: before + facts,
            what,
        });
        (self.tell)(&self.progress.get());
    }
}
