//! Decoding of rows, for any database. A value that cannot be decoded is damage.

use std::str::FromStr;

use stage::{BatchNumber, Cell, Epoch, Frame, Producer, Record, Seq, StreamPartition, Table};

use crate::StoreError;

/// A row of a database.
pub(super) trait Stored {
    fn text(&self, column: &str) -> Result<String, StoreError>;
    /// The text of a column even if it is not valid; such a text matches nothing.
    fn lossy_text(&self, column: &str) -> Result<String, StoreError>;
    fn integer(&self, column: &str) -> Result<i64, StoreError>;
    /// The values of a row of a stage's table.
    fn cells(&self, table: &Table) -> Result<Vec<Cell>, StoreError>;
}

pub(super) fn record(row: &impl Stored) -> Result<Record, StoreError> {
    Ok(Record {
        owner: name(row, "owner")?,
        number: BatchNumber(number(row, "number")?),
        epoch: Epoch(number(row, "epoch")?),
        consumed: row.text("consumed")?,
        checkpoint: row.text("checkpoint")?,
        committed_at: row.text("committed_at")?,
        previous: name(row, "previous")?,
        hash: name(row, "hash")?,
    })
}

pub(super) fn frame(row: &impl Stored) -> Result<Frame, StoreError> {
    Ok(Frame {
        producer: name(row, "producer")?,
        target: name(row, "target")?,
        seq: Seq(number(row, "seq")?),
        facts: usize::try_from(number(row, "facts")?).unwrap_or(usize::MAX),
        previous: name(row, "previous")?,
        hash: name(row, "hash")?,
        body: row.text("body")?,
    })
}

/// The newest batch record of an owner, as noted in the table `owners`.
pub(super) fn chain_end(row: &impl Stored) -> Result<(BatchNumber, String), StoreError> {
    Ok((BatchNumber(number(row, "number")?), row.text("hash")?))
}

/// A producer and a target, with the last `seq`.
pub(super) fn journal_end(row: &impl Stored) -> Result<(Producer, StreamPartition, Seq), StoreError> {
    Ok((name(row, "producer")?, name(row, "target")?, Seq(number(row, "seq")?)))
}

/// The rows of the table `meta`.
pub(super) fn meta(rows: &[impl Stored]) -> Result<Vec<(String, String)>, StoreError> {
    let pairs = rows.iter().map(|row| Ok((row.text("key")?, row.text("value")?)));
    pairs.collect::<Result<_, StoreError>>().map_err(|error| error.at("meta"))
}

pub(super) fn name<T: FromStr>(row: &impl Stored, column: &str) -> Result<T, StoreError> {
    let text = row.text(column)?;
    text.parse().map_err(|_| StoreError::Damaged(format!("column {column} holds {text:?}")))
}

pub(super) fn number(row: &impl Stored, column: &str) -> Result<u64, StoreError> {
    let number = row.integer(column)?;
    u64::try_from(number).map_err(|_| StoreError::Damaged(format!("column {column} holds {number}")))
}
