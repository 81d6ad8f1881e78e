//! The commit times of batches, which only the batch records hold.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use stage::{BatchNumber, Partition, Producer, Stage};

use crate::{RecentCommits, Store, StoreError};

/// Looks up commit times: recent ones in memory, others in the store, each batch only once.
pub struct CommitTimes<'a> {
    store: &'a Store,
    recent: &'a RecentCommits,
    known: BTreeMap<(Producer, BatchNumber), DateTime<Utc>>,
}

impl<'a> CommitTimes<'a> {
    /// An empty cache.
    pub fn new(store: &'a Store, recent: &'a RecentCommits) -> Self {
        Self { store, recent, known: BTreeMap::new() }
    }

    /// The time at which a partition of a stage committed this batch. Rows hold the partition and the batch number.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when there is no such batch.
    pub async fn of<S: Stage>(
        &mut self,
        partition: Partition,
        batch: BatchNumber,
    ) -> Result<DateTime<Utc>, StoreError> {
        let place = (Producer::new(S::NAME, partition), batch);
        if let Some(time) = self.known.get(&place) {
            return Ok(*time);
        }
        let (owner, _) = &place;
        if let Some(time) = self.recent.at(owner, batch) {
            return Ok(time);
        }
        let time = self.store.committed_at(owner, batch).await?;
        let time = time.and_then(|time| time.parse().ok());
        let time = time.ok_or_else(|| StoreError::Damaged(format!("no batch record {batch} of {owner}")))?;
        self.known.insert(place, time);
        Ok(time)
    }
}
