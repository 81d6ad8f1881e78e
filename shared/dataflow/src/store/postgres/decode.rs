//! What is stored, read back. What does not fit is damage.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use stage::{BatchNumber, Cell, Epoch, Frame, Kind, Record, Seq, Table};

use crate::StoreError;

pub(super) fn cells(table: &Table, row: &PgRow) -> Result<Vec<Cell>, StoreError> {
    let cell = |(at, kind): (usize, Kind)| {
        let cell = match kind {
            Kind::Integer => row.try_get::<Option<i64>, _>(at)?.map(Cell::Integer),
            Kind::Text | Kind::Decimal => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(cell).collect()
}

pub(super) fn record(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record {
        owner: name(row, "owner")?,
        number: BatchNumber(number(row, "number")?),
        epoch: Epoch(number(row, "epoch")?),
        read: row.try_get("read")?,
        checkpoint: row.try_get("checkpoint")?,
        committed_at: row.try_get("committed_at")?,
        previous: name(row, "previous")?,
        hash: name(row, "hash")?,
    })
}

pub(super) fn frame(row: &PgRow) -> Result<Frame, StoreError> {
    Ok(Frame {
        producer: name(row, "producer")?,
        target: name(row, "target")?,
        seq: Seq(number(row, "seq")?),
        facts: usize::try_from(number(row, "facts")?).unwrap_or(usize::MAX),
        previous: name(row, "previous")?,
        hash: name(row, "hash")?,
        body: row.try_get("body")?,
    })
}

pub(super) fn name<T: std::str::FromStr>(row: &PgRow, column: &str) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| StoreError::Damaged(format!("column {column} holds {text:?}")))
}

pub(super) fn number(row: &PgRow, column: &str) -> Result<u64, StoreError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| StoreError::Damaged(format!("column {column} holds {number}")))
}
