//! When batches were committed: it stands in their records only.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use stage::{BatchNumber, Partition, Producer, Stage};

use crate::{Store, StoreError};

/// Looks each batch up once.
pub struct CommitTimes<'a> {
    store: &'a Store,
    known: BTreeMap<(Producer, BatchNumber), DateTime<Utc>>,
}

impl<'a> CommitTimes<'a> {
    /// None looked up yet.
    pub fn new(store: &'a Store) -> Self {
        Self { store, known: BTreeMap::new() }
    }

    /// When a partition of a stage committed this batch, both as rows name them.
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
        let time = self.store.committed_at(owner, batch).await?;
        let time = time.and_then(|time| time.parse().ok());
        let time = time.ok_or_else(|| StoreError::Damaged(format!("no batch record {batch} of {owner}")))?;
        self.known.insert(place, time);
        Ok(time)
    }
}
