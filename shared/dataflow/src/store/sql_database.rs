//! What the stores of all SQL databases do in the same way: most of their reads.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use stage::{BatchNumber, Cell, Frame, Producer, ReadSet, Record, Seq, StreamPartition, Table};

use super::decode::{Stored, chain_end, journal_end, name, number, record};
use super::encode::integer;
use super::sql::{self, Dialect};
use super::{Commit, CommitError, Engine, Inventory, LoadedRows, Meta, StoreError};

/// An SQL database that holds a service's store. [`Engine`] documents the methods with the same names.
pub(super) trait SqlDatabase: fmt::Debug + Send + Sync {
    type Dialect: Dialect;
    type Row: Stored + Send + Sync;

    fn meta(&self) -> &Meta;

    fn for_owners(&self) -> Arc<dyn Engine>;

    fn for_publishers(&self) -> Arc<dyn Engine>;

    /// All rows of a statement with these parameters.
    fn fetch(
        &self,
        statement: &str,
        parameters: &[Cell],
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;

    /// All rows of a stage's table that a statement with these parameters selects.
    fn rows(
        &self,
        table: &'static Table,
        statement: &str,
        parameters: &[Cell],
    ) -> impl Future<Output = Result<Vec<Vec<Cell>>, StoreError>> + Send;

    fn commit(&self, commit: &Commit) -> impl Future<Output = Result<(), CommitError>> + Send;

    fn load(
        &self,
        table: &'static Table,
        keys: &BTreeSet<Vec<Cell>>,
    ) -> impl Future<Output = Result<Vec<Vec<Cell>>, StoreError>> + Send;

    fn load_all(&self, keys: &ReadSet) -> impl Future<Output = Result<Vec<LoadedRows>, StoreError>> + Send;

    fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<Frame>, StoreError>> + Send;

    fn last_frames(
        &self,
        producer: &Producer,
        targets: &[&StreamPartition],
    ) -> impl Future<Output = Result<Vec<Frame>, StoreError>> + Send;

    /// The problems that the database reports, and the tables apart from those that every store has.
    fn problems_and_tables(&self) -> impl Future<Output = Result<(Vec<String>, Vec<String>), StoreError>> + Send;

    fn close(&self) -> impl Future<Output = ()> + Send;
}

#[async_trait]
impl<D: SqlDatabase> Engine for D {
    fn meta(&self) -> &Meta {
        SqlDatabase::meta(self)
    }

    fn for_owners(&self) -> Arc<dyn Engine> {
        SqlDatabase::for_owners(self)
    }

    fn for_publishers(&self) -> Arc<dyn Engine> {
        SqlDatabase::for_publishers(self)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        SqlDatabase::commit(self, commit).await
    }

    async fn newest(&self, owner: &Producer) -> Result<Option<Record>, StoreError> {
        self.fetch(sql::NEWEST, &[text(owner)]).await?.first().map(record).transpose()
    }

    async fn records(&self, owner: &Producer, from: BatchNumber, limit: usize) -> Result<Vec<Record>, StoreError> {
        let parameters = [text(owner), integer_cell(from.0), integer_cell(limit as u64)];
        self.fetch(sql::RECORDS, &parameters).await?.iter().map(record).collect()
    }

    async fn chain_ends(&self) -> Result<Vec<(Producer, BatchNumber, String)>, StoreError> {
        let end = |row: &D::Row| {
            let (number, hash) = chain_end(row)?;
            Ok((name(row, "owner")?, number, hash))
        };
        self.fetch(sql::CHAIN_ENDS, &[]).await?.iter().map(end).collect()
    }

    async fn chain_end(&self, owner: &Producer) -> Result<Option<(BatchNumber, String)>, StoreError> {
        self.fetch(sql::CHAIN_END, &[text(owner)]).await?.first().map(chain_end).transpose()
    }

    async fn load(&self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, StoreError> {
        SqlDatabase::load(self, table, keys).await
    }

    async fn load_all(&self, keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
        SqlDatabase::load_all(self, keys).await
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.fetch(&sql::count(table), &[]).await?.first().map_or(Ok(0), |row| number(row, "rows"))
    }

    async fn scan(
        &self,
        table: &'static Table,
        prefix: &[Cell],
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let after = after.unwrap_or_default();
        let statement = sql::scan::<D::Dialect>(table, prefix.len(), after.len());
        let parameters = [prefix, after, &[integer_cell(limit as u64)]].concat();
        self.rows(table, &statement, &parameters).await
    }

    async fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Frame>, StoreError> {
        SqlDatabase::journal(self, producer, target, from, limit, max_bytes).await
    }

    async fn emitted(&self) -> Result<Vec<(Producer, StreamPartition, Seq)>, StoreError> {
        self.fetch(sql::EMITTED, &[]).await?.iter().map(journal_end).collect()
    }

    async fn last_seq(&self, producer: &Producer, target: &StreamPartition) -> Result<Seq, StoreError> {
        let rows = self.fetch(sql::LAST_SEQ, &[text(producer), text(target)]).await?;
        rows.first().map_or(Ok(Seq(0)), |row| Ok(Seq(number(row, "seq")?)))
    }

    async fn last_frames(&self, producer: &Producer, targets: &[&StreamPartition]) -> Result<Vec<Frame>, StoreError> {
        SqlDatabase::last_frames(self, producer, targets).await
    }

    async fn committed_at(&self, owner: &Producer, number: BatchNumber) -> Result<Option<String>, StoreError> {
        let rows = self.fetch(sql::COMMITTED_AT, &[text(owner), integer_cell(number.0)]).await?;
        rows.first().map(|row| row.text("committed_at")).transpose()
    }

    async fn inventory(&self) -> Result<Inventory, StoreError> {
        let (problems, tables) = self.problems_and_tables().await?;
        let records = self.fetch(sql::RECORD_COUNTS, &[]).await?;
        let records = records.iter().map(|row| Ok((row.lossy_text("owner")?, number(row, "rows")?)));
        let records = records.collect::<Result<_, StoreError>>()?;
        let frames = self.fetch(sql::FRAME_COUNTS, &[]).await?;
        let frames =
            frames.iter().map(|row| Ok((row.lossy_text("producer")?, row.lossy_text("target")?, number(row, "rows")?)));
        Ok(Inventory { problems, tables, records, frames: frames.collect::<Result<_, StoreError>>()? })
    }

    async fn close(&self) {
        SqlDatabase::close(self).await;
    }
}

fn text(value: &impl fmt::Display) -> Cell {
    Cell::Text(value.to_string())
}

fn integer_cell(number: u64) -> Cell {
    Cell::Integer(integer(number))
}
