//! The times of the latest commits of a service's owners, so that responses need not read them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use stage::{BatchNumber, Producer};

/// The number of commits that are remembered for each owner.
const COMMITS_MAX: usize = 1_024;

type Commits = VecDeque<(BatchNumber, DateTime<Utc>)>;

/// The times of the latest commits, by owner and batch. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RecentCommits(Arc<Mutex<BTreeMap<Producer, Commits>>>);

impl RecentCommits {
    /// Remembers a commit.
    pub(crate) fn note(&self, owner: &Producer, batch: BatchNumber, at: DateTime<Utc>) {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let commits = match owners.get_mut(owner) {
            Some(commits) => commits,
            None => owners.entry(owner.clone()).or_default(),
        };
        if commits.len() == COMMITS_MAX {
            commits.pop_front();
        }
        commits.push_back((batch, at));
    }

    /// The last batch of an owner; 0 if none is known.
    pub(crate) fn newest(&self, owner: &Producer) -> BatchNumber {
        let owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(owner).and_then(VecDeque::back).map_or(BatchNumber(0), |(batch, _)| *batch)
    }

    /// The time of a commit, if it is one of the latest.
    pub(crate) fn at(&self, owner: &Producer, batch: BatchNumber) -> Option<DateTime<Utc>> {
        let owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let commits = owners.get(owner)?;
        let at = commits.binary_search_by_key(&batch, |(batch, _)| *batch).ok()?;
        Some(commits[at].1)
    }
}

#[cfg(test)]
mod tests {
    use stage::Partition;

    use super::*;

    #[test]
    fn only_the_latest_commits_of_each_owner_are_remembered() {
        let (recent, max) = (RecentCommits::default(), COMMITS_MAX as u64);
        let [one, other] = [0, 1].map(|partition| Producer::new("post", Partition(partition)));
        let at = |second: u64| DateTime::from_timestamp(second.cast_signed(), 0).unwrap();
        for batch in 1..=max + 1 {
            recent.note(&one, BatchNumber(batch), at(batch));
        }
        recent.note(&other, BatchNumber(1), at(7));
        let found = |owner, batch| recent.at(owner, BatchNumber(batch));
        assert_eq!(found(&one, 1), None);
        assert_eq!([2, max + 1].map(|batch| found(&one, batch)), [Some(at(2)), Some(at(max + 1))]);
        assert_eq!((found(&one, max + 2), found(&other, 1)), (None, Some(at(7))));
        assert_eq!(recent.newest(&one), BatchNumber(max + 1));
    }
}
