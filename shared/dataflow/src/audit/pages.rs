//! Records, frames and rows read by the page: by the thousand when they are small, one by one when they are big.

use std::collections::VecDeque;

use stage::{BatchNumber, Frame, Producer, Record, Seq, StreamPartition};

use crate::{Store, StoreError};

/// Most records, frames or rows read at a time.
pub(super) const PAGE: usize = 1_000;
/// About so many bytes of them. A stage's partition reads ahead in each journal that it reads or writes: with 64
/// partitions these are 200.
const PAGE_BYTES: usize = 512 << 10;
/// A page may have so many times the records of the one before it.
const GROWTH: usize = 8;

/// How many to read next, so that a page has about [`PAGE_BYTES`].
#[derive(Debug)]
pub(super) struct Pace(usize);

impl Pace {
    /// Of what nobody knows how big it is.
    pub(super) fn new() -> Self {
        Self(1)
    }

    /// Reads a page, or when it is damaged the first of it alone: so damage is found where it is.
    pub(super) async fn read<T>(
        &mut self,
        read: impl AsyncFn(usize) -> Result<Vec<T>, StoreError>,
        bytes_of: impl Fn(&T) -> usize,
    ) -> Result<VecDeque<T>, StoreError> {
        let page = match read(self.0).await {
            Err(StoreError::Damaged(_)) if self.0 > 1 => read(1).await,
            page => page,
        }?;
        let bytes = page.iter().map(bytes_of).sum::<usize>().max(1);
        self.0 = (page.len() * PAGE_BYTES / bytes).min(self.0 * GROWTH).clamp(1, PAGE);
        Ok(page.into())
    }
}

/// The batch records of an owner, in order.
pub(super) struct Records {
    ahead: VecDeque<Record>,
    pace: Pace,
}

impl Records {
    pub(super) fn new() -> Self {
        Self { ahead: VecDeque::new(), pace: Pace::new() }
    }

    /// The next record; asked in order, it is the first from that number on.
    pub(super) async fn next(
        &mut self,
        store: &Store,
        owner: &Producer,
        from: BatchNumber,
    ) -> Result<Option<Record>, StoreError> {
        if self.ahead.is_empty() {
            let read = async |limit| store.records(owner, from, limit).await;
            self.ahead = self.pace.read(read, bytes_of_record).await?;
        }
        Ok(self.ahead.pop_front())
    }
}

/// The frames of one producer for one target, in order.
pub(super) struct Journal {
    next: Seq,
    ahead: VecDeque<Frame>,
    pace: Pace,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { next: Seq::FIRST, ahead: VecDeque::new(), pace: Pace::new() }
    }

    /// The first frame from a `seq` on. It costs least when that is the one after the last.
    pub(super) async fn next(
        &mut self,
        store: &Store,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
    ) -> Result<Option<Frame>, StoreError> {
        if self.next != from {
            self.ahead.clear();
        }
        if self.ahead.is_empty() {
            let read = async |limit| store.journal(producer, target, from, limit, PAGE_BYTES).await;
            self.ahead = self.pace.read(read, |frame| frame.body.len()).await?;
        }
        self.next = from.next();
        Ok(self.ahead.pop_front())
    }
}

/// What a record holds.
pub(super) fn bytes_of_record(record: &Record) -> usize {
    record.consumed.len() + record.checkpoint.len() + record.committed_at.len()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn what_is_small_is_read_by_the_thousand_and_what_is_big_one_by_one() {
        let check = async |bytes: usize, expected: &[usize]| {
            let (mut pace, limits) = (Pace::new(), RefCell::new(Vec::new()));
            for _ in expected {
                let read = async |limit| {
                    limits.borrow_mut().push(limit);
                    Ok(vec![(); limit])
                };
                pace.read(read, |()| bytes).await.unwrap();
            }
            assert_eq!(limits.into_inner(), expected);
        };
        check(200, &[1, 8, 64, 512, 1_000, 1_000]).await;
        check(100 << 10, &[1, 5, 5]).await;
        check(8 << 20, &[1, 1, 1]).await;
    }

    #[tokio::test]
    async fn of_a_damaged_page_the_first_is_read_alone() {
        let damaged = async |limit: usize| match limit {
            1 => Ok(vec![7]),
            _ => Err(StoreError::Damaged("somewhere".to_owned())),
        };
        let mut pace = Pace(64);
        assert_eq!(pace.read(damaged, |_| 1).await.unwrap(), [7]);
    }
}
