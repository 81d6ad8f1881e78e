//! Decoding of records and frames, for any engine. A value that cannot be decoded is damage.

use std::str::FromStr;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use stage::{BatchNumber, Epoch, Frame, Record, Seq};

use crate::StoreError;

/// A row of one of the fixed tables.
pub(super) trait Stored {
    fn text(&self, column: &str) -> Result<String, StoreError>;
    fn integer(&self, column: &str) -> Result<i64, StoreError>;
}

impl Stored for SqliteRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn integer(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }
}

impl Stored for PgRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn integer(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }
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

pub(super) fn name<T: FromStr>(row: &impl Stored, column: &str) -> Result<T, StoreError> {
    let text = row.text(column)?;
    text.parse().map_err(|_| StoreError::Damaged(format!("column {column} holds {text:?}")))
}

pub(super) fn number(row: &impl Stored, column: &str) -> Result<u64, StoreError> {
    let number = row.integer(column)?;
    u64::try_from(number).map_err(|_| StoreError::Damaged(format!("column {column} holds {number}")))
}
