//! What goes wrong on purpose, in tests and in the simulation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Commit, StoreError};

/// What goes wrong with a commit on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// It is refused and nothing written.
    Refused,
    /// The answer is lost, and so is the commit.
    LostBefore,
    /// The answer is lost, but the commit is there.
    LostAfter,
    /// The answer is lost, and the commit is still on its way: [`Store::land`](crate::Store::land).
    Late,
}

/// Faults to come, in order; none in a running system. Tests share it with the store they break.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Troubles>>);

#[derive(Debug, Default)]
pub(super) struct Troubles {
    pub to_come: VecDeque<Option<CommitFault>>,
    pub late: VecDeque<Commit>,
    reads_left: Option<u32>,
}

impl Faults {
    /// The next commit not yet spoken for goes wrong like this, or goes well.
    pub fn push(&self, fault: Option<CommitFault>) {
        self.troubles().to_come.push_back(fault);
    }

    /// After so many reads the next fails, once.
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
