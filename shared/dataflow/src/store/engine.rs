//! The seam between the store and the databases.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use stage::{BatchNumber, Cell, Frame, Producer, ReadSet, Record, Seq, StreamPartition, Table};

use super::{Commit, CommitError, Inventory, LoadedRows, Meta, StoreError};

/// A database that holds a service's store. [`Store`](crate::Store) documents each method.
///
/// Its futures are boxed here, once: a service that awaits a store does not compile the code of every database into
/// its own state machines.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    /// The metadata of the store.
    fn meta(&self) -> &Meta;

    /// The same database, on the connections of owners.
    fn for_owners(&self) -> Arc<dyn Engine>;

    /// The same database, on the connections of publishers.
    fn for_publishers(&self) -> Arc<dyn Engine>;

    /// Writes a whole batch or nothing.
    async fn commit(&self, commit: &Commit) -> Result<(), CommitError>;

    /// The newest batch record of an owner.
    async fn newest(&self, owner: &Producer) -> Result<Option<Record>, StoreError>;

    /// Batch records from a number on, in order, at most `limit`.
    async fn records(&self, owner: &Producer, from: BatchNumber, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// The newest batch record of each owner, as noted in a separate table.
    async fn chain_ends(&self) -> Result<Vec<(Producer, BatchNumber, String)>, StoreError>;

    /// The newest batch record of one owner, as noted in a separate table.
    async fn chain_end(&self, owner: &Producer) -> Result<Option<(BatchNumber, String)>, StoreError>;

    /// The rows of one table that exist among these keys.
    async fn load(&self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, StoreError>;

    /// The rows that exist among these keys, by table.
    async fn load_all(&self, keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
        load_each(self, keys).await
    }

    /// The number of rows in a table.
    async fn count(&self, table: &'static Table) -> Result<u64, StoreError>;

    /// Rows in key order: those whose key begins with `prefix`, and of these the ones after `after`, at most `limit`.
    async fn scan(
        &self,
        table: &'static Table,
        prefix: &[Cell],
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError>;

    /// Frames of a producer for a target from a `seq` on, in order.
    async fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Frame>, StoreError>;

    /// Every producer and target in the journal, with the last `seq`.
    async fn emitted(&self) -> Result<Vec<(Producer, StreamPartition, Seq)>, StoreError>;

    /// The last `seq` of a producer for a target; 0 before the first.
    async fn last_seq(&self, producer: &Producer, target: &StreamPartition) -> Result<Seq, StoreError>;

    /// The last frame of a producer for each of these targets, where there is one.
    async fn last_frames(&self, producer: &Producer, targets: &[&StreamPartition]) -> Result<Vec<Frame>, StoreError>;

    /// The commit time of a batch.
    async fn committed_at(&self, owner: &Producer, number: BatchNumber) -> Result<Option<String>, StoreError>;

    /// The actual content of the database.
    async fn inventory(&self) -> Result<Inventory, StoreError>;

    /// Closes the database. Every later call fails.
    async fn close(&self);
}

/// The rows that exist among these keys, with one read for each table.
pub(super) async fn load_each(engine: &(impl Engine + ?Sized), keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
    let mut found = Vec::new();
    for (table, wanted) in keys.iter() {
        found.push(LoadedRows { table, wanted: wanted.clone(), rows: engine.load(table, wanted).await? });
    }
    Ok(found)
}
