//! A store in memory, for the simulation. It exists as long as its last clone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stage::{
    BatchNumber, Cell, Change, Frame, Hash, Producer, PublishPosition, Record, Seq, StreamPartition, Table, Write,
};

use dataflow::{Commit, CommitError, Engine, Inventory, Meta, PublishPositions, StoreError};

use crate::Damage;

type Rows = BTreeMap<Vec<Cell>, Vec<Cell>>;

#[derive(Debug, Default)]
struct Content {
    records: BTreeMap<Producer, BTreeMap<BatchNumber, Record>>,
    /// Kept apart from the records, so that a deleted record is noticed.
    newest: BTreeMap<Producer, (BatchNumber, Hash)>,
    tables: BTreeMap<&'static str, Rows>,
    journal: BTreeMap<(Producer, StreamPartition), BTreeMap<Seq, Frame>>,
    publish_positions: BTreeMap<StreamPartition, PublishPosition>,
}

impl Content {
    fn check(&self, changes: &[Change]) -> Result<(), CommitError> {
        for change in changes {
            let key = &change.cells[..change.table.key_columns];
            let exists = self.tables.get(change.table.name).is_some_and(|rows| rows.contains_key(key));
            if exists != (change.write == Write::Update) {
                return Err(CommitError::Conflict(change.table.name.to_owned()));
            }
        }
        Ok(())
    }

    fn put(&mut self, table: &'static Table, cells: Vec<Cell>) {
        let key = cells[..table.key_columns].to_vec();
        self.tables.entry(table.name).or_default().insert(key, cells);
    }
}

/// Whether a memory store enforces the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// A number that is taken is refused.
    Kept,
    /// The last writer wins, which is the mistake that the simulation must find.
    Ignored,
}

/// Maps behind one lock.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    meta: Meta,
    fence: Fence,
    content: Arc<Mutex<Content>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(meta: Meta) -> Self {
        Self { meta, fence: Fence::Kept, content: Arc::default() }
    }

    /// An empty store that lets two owners write, to show that the simulation detects it.
    pub fn without_fence(meta: Meta) -> Self {
        Self { fence: Fence::Ignored, ..Self::new(meta) }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Engine for MemoryStore {
    async fn inventory(&self) -> Result<Inventory, StoreError> {
        let content = self.content();
        let frames = |((producer, target), frames): (&(Producer, StreamPartition), &BTreeMap<Seq, Frame>)| {
            (producer.to_string(), target.to_string(), frames.len() as u64)
        };
        Ok(Inventory {
            problems: Vec::new(),
            tables: content.tables.keys().map(|name| (*name).to_owned()).collect(),
            records: content.records.iter().map(|(owner, r)| (owner.to_string(), r.len() as u64)).collect(),
            frames: content.journal.iter().map(frames).collect(),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let mut content = self.content();
        let Commit { record, changes, frames } = commit;
        let taken = content.records.get(&record.owner).is_some_and(|r| r.contains_key(&record.number));
        if taken && self.fence == Fence::Kept {
            return Err(CommitError::Fenced);
        }
        if self.fence == Fence::Kept {
            content.check(changes)?;
        }
        content.newest.insert(record.owner.clone(), (record.number, record.hash));
        content.records.entry(record.owner.clone()).or_default().insert(record.number, record.clone());
        for change in changes {
            content.put(change.table, change.cells.clone());
        }
        for frame in frames {
            let key = (frame.producer.clone(), frame.target.clone());
            content.journal.entry(key).or_default().insert(frame.seq, frame.clone());
        }
        Ok(())
    }

    async fn newest(&self, owner: &Producer) -> Result<Option<Record>, StoreError> {
        Ok(self.content().records.get(owner).and_then(|records| records.last_key_value()).map(|(_, r)| r.clone()))
    }

    async fn records(&self, owner: &Producer, from: BatchNumber, limit: usize) -> Result<Vec<Record>, StoreError> {
        let content = self.content();
        let records = content.records.get(owner).into_iter().flat_map(|records| records.range(from..));
        Ok(records.take(limit).map(|(_, record)| record.clone()).collect())
    }

    async fn chain_ends(&self) -> Result<Vec<(Producer, BatchNumber, String)>, StoreError> {
        let content = self.content();
        let newest = content.newest.iter();
        let newest = newest.map(|(owner, (number, hash))| (owner.clone(), *number, hash.to_string()));
        Ok(newest.collect())
    }

    async fn chain_end(&self, owner: &Producer) -> Result<Option<(BatchNumber, String)>, StoreError> {
        Ok(self.content().newest.get(owner).map(|(number, hash)| (*number, hash.to_string())))
    }

    async fn load(&self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, StoreError> {
        let content = self.content();
        let rows = content.tables.get(table.name);
        Ok(keys.iter().filter_map(|key| rows.and_then(|rows| rows.get(key)).cloned()).collect())
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        Ok(self.content().tables.get(table.name).map_or(0, |rows| rows.len() as u64))
    }

    async fn scan(
        &self,
        table: &'static Table,
        prefix: &[Cell],
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let content = self.content();
        let start: Vec<Cell> = prefix.iter().chain(after.unwrap_or_default()).cloned().collect();
        let rows = content.tables.get(table.name).into_iter().flat_map(|rows| rows.range(start.clone()..));
        let wanted = rows
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none() || !key.starts_with(&start));
        Ok(wanted.take(limit).map(|(_, cells)| cells.clone()).collect())
    }

    async fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Frame>, StoreError> {
        let content = self.content();
        let emitted = content.journal.get(&(producer.clone(), target.clone()));
        let mut bytes = 0;
        let frames =
            emitted.into_iter().flat_map(|emitted| emitted.range(from..)).take(limit).take_while(|(_, frame)| {
                let room = bytes < max_bytes;
                bytes += frame.body.len();
                room
            });
        Ok(frames.map(|(_, frame)| frame.clone()).collect())
    }

    async fn emitted(&self) -> Result<Vec<(Producer, StreamPartition, Seq)>, StoreError> {
        let content = self.content();
        let emitted = content.journal.iter().filter_map(|((producer, target), frames)| {
            frames.last_key_value().map(|(seq, _)| (producer.clone(), target.clone(), *seq))
        });
        Ok(emitted.collect())
    }

    async fn last_seq(&self, producer: &Producer, target: &StreamPartition) -> Result<Seq, StoreError> {
        let content = self.content();
        let emitted = content.journal.get(&(producer.clone(), target.clone()));
        Ok(emitted.and_then(BTreeMap::last_key_value).map_or(Seq(0), |(seq, _)| *seq))
    }

    async fn last_frames(&self, producer: &Producer, targets: &[&StreamPartition]) -> Result<Vec<Frame>, StoreError> {
        let content = self.content();
        let emitted = targets.iter().filter_map(|target| content.journal.get(&(producer.clone(), (*target).clone())));
        Ok(emitted.filter_map(BTreeMap::last_key_value).map(|(_, frame)| frame.clone()).collect())
    }

    async fn committed_at(&self, owner: &Producer, number: BatchNumber) -> Result<Option<String>, StoreError> {
        let content = self.content();
        Ok(content.records.get(owner).and_then(|records| records.get(&number)).map(|r| r.committed_at.clone()))
    }

    fn for_owners(&self) -> Arc<dyn Engine> {
        Arc::new(self.clone())
    }

    fn for_publishers(&self) -> Arc<dyn Engine> {
        Arc::new(self.clone())
    }

    async fn close(&self) {}
}

#[async_trait]
impl PublishPositions for MemoryStore {
    async fn publish_position(&self, target: &StreamPartition) -> Result<PublishPosition, StoreError> {
        Ok(self.content().publish_positions.get(target).cloned().unwrap_or_default())
    }

    async fn store_publish_position(
        &self,
        target: &StreamPartition,
        noted: &PublishPosition,
    ) -> Result<bool, StoreError> {
        let mut content = self.content();
        let rewinds = content.publish_positions.get(target).map_or(0, |position| position.rewinds);
        if rewinds == noted.rewinds {
            content.publish_positions.insert(target.clone(), noted.clone());
        }
        Ok(rewinds == noted.rewinds)
    }

    async fn ends(&self, target: &StreamPartition, producers: &[Producer]) -> Result<Vec<Seq>, StoreError> {
        let mut ends = Vec::new();
        for producer in producers {
            ends.push(self.last_seq(producer, target).await?);
        }
        Ok(ends)
    }

    async fn unpublished(
        &self,
        target: &StreamPartition,
        producer: &Producer,
        after: Seq,
    ) -> Result<Vec<(Seq, u64)>, StoreError> {
        let frames = self.journal(producer, target, after.next(), usize::MAX, usize::MAX).await?;
        Ok(frames.iter().map(|frame| (frame.seq, frame.body.len() as u64)).collect())
    }
}

impl MemoryStore {
    /// Requests that a journal is published again from its start.
    pub fn republish(&self, producer: &Producer, target: &StreamPartition) {
        let mut content = self.content();
        let position = content.publish_positions.entry(target.clone()).or_default();
        position.republish.insert(producer.clone());
        position.rewinds += 1;
    }

    /// Loses the publish position of a stream.
    pub fn lose_publish_position(&self, target: &StreamPartition) {
        self.content().publish_positions.remove(target);
    }

    /// Changes the stored data directly, like a failing disk or an interfering person.
    pub fn damage(&self, damage: &Damage) {
        let mut content = self.content();
        match damage {
            Damage::ChangedRecord(owner) => {
                let newest = content.records.get_mut(owner).and_then(|records| records.last_entry());
                newest.into_iter().for_each(|mut newest| newest.get_mut().committed_at.push('0'));
            }
            Damage::DeletedRecord(owner) => {
                content.records.get_mut(owner).and_then(BTreeMap::pop_last);
            }
            Damage::ChangedFrame(producer, target) => {
                let emitted = content.journal.get_mut(&(producer.clone(), target.clone()));
                let last = emitted.and_then(|frames| frames.last_entry());
                last.into_iter().for_each(|mut last| last.get_mut().body.push(' '));
            }
            Damage::DeletedFrame(producer, target) => {
                content.journal.get_mut(&(producer.clone(), target.clone())).and_then(BTreeMap::pop_last);
            }
        }
    }
}
