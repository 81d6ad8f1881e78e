//! Injected faults, for tests and the simulation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Commit, StoreError};

/// An injected fault of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The commit is refused, and nothing is written.
    Refused,
    /// The reply is lost, and so is the commit.
    LostBefore,
    /// The reply is lost, but the commit was written.
    LostAfter,
    /// The reply is lost, and the commit is still in flight: [`Store::land`](crate::Store::land).
    Late,
}

/// The faults to inject, in order; none in a running system. Tests share them with the store they affect.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Troubles>>);

#[derive(Debug, Default)]
pub(super) struct Troubles {
    pub to_come: VecDeque<Option<CommitFault>>,
    pub late: VecDeque<Commit>,
    reads_left: Option<u32>,
}

impl Faults {
    /// Sets the outcome of the next commit that has none yet: this fault, or success.
    pub fn push(&self, fault: Option<CommitFault>) {
        self.troubles().to_come.push_back(fault);
    }

    /// Fails one read, after this many successful ones.
    pub fn fail_read(&self, after: u32) {
        self.troubles().reads_left = Some(after);
    }

    pub(super) fn read(&self) -> Result<(), StoreError> {
        let left = &mut self.troubles().reads_left;
        *left = match *left {
            None => return Ok(()),
            Some(0) => None,
            Some(left) => Some(left - 1),
        };
        if left.is_some() { Ok(()) } else { Err(StoreError::Unavailable("refused on purpose".into())) }
    }

    pub(super) fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
