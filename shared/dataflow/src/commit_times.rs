//! The commit times of batches, which only the batch records hold.

use std::collections::BTreeMap;
use std::error::Error;

use chrono::{DateTime, ParseError, Utc};
use stage::{BatchNumber, Consumed, Partition, Producer, Record, Stage};

use crate::{RecentCommits, Store, StoreError};

/// Number of batch records read at a time.
const RECORDS_MAX: u64 = 100;

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

/// When a stage last committed facts or requests, in any of its partitions: the time of the newest batch record that is
/// not a claim. There is one claim per start, so few records are read.
///
/// # Errors
/// [`StoreError`].
pub async fn last_applied_at<S: Stage>(store: &Store) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut last = None;
    for partition in S::PARTITIONING.partitions(store.meta().partitions) {
        last = last.max(last_of(store, &Producer::new(S::NAME, partition)).await?);
    }
    Ok(last)
}

async fn last_of(store: &Store, owner: &Producer) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut end = store.newest(owner).await?.map_or(0, |record| record.number.0);
    while end > 0 {
        let from = end.saturating_sub(RECORDS_MAX - 1).max(1);
        let limit = usize::try_from(end - from + 1).unwrap_or(usize::MAX);
        for record in store.records(owner, BatchNumber(from), limit).await?.into_iter().rev() {
            match record.parse_consumed().map_err(|error| damaged(&record, &error))? {
                Consumed::Claim => {}
                Consumed::Frames(_) | Consumed::Requests(_) => {
                    return record.committed_at.parse().map(Some).map_err(|error: ParseError| damaged(&record, &error));
                }
            }
        }
        end = from - 1;
    }
    Ok(None)
}

fn damaged(record: &Record, why: &dyn Error) -> StoreError {
    StoreError::Damaged(format!("batch record {} of {}: {why}", record.number, record.owner))
}
