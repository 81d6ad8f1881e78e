//! What is stored, read back. What does not fit is damage.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};
use stage::{BatchNumber, Cell, Epoch, Frame, Record, Seq, Table};

use crate::StoreError;

pub(super) fn cells(table: &Table, row: &SqliteRow) -> Result<Vec<Cell>, StoreError> {
    let cell = |column: usize| {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        match value.type_info().name() {
            "INTEGER" => Ok(Cell::Integer(row.try_get(column)?)),
            "TEXT" => Ok(Cell::Text(row.try_get(column)?)),
            other => Err(StoreError::Damaged(format!("{}.{} holds a {other}", table.name, table.columns[column].name))),
        }
    };
    (0..table.columns.len()).map(cell).collect()
}

pub(super) fn record(row: &SqliteRow) -> Result<Record, StoreError> {
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

pub(super) fn frame(row: &SqliteRow) -> Result<Frame, StoreError> {
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

pub(super) fn name<T: std::str::FromStr>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| StoreError::Damaged(format!("column {column} holds {text:?}")))
}

pub(super) fn number(row: &SqliteRow, column: &str) -> Result<u64, StoreError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| StoreError::Damaged(format!("column {column} holds {number}")))
}

/// Says which file it was.
pub(super) fn at(path: &Path) -> impl Fn(sqlx::Error) -> StoreError {
    let path: PathBuf = path.to_owned();
    move |error| match StoreError::from(error) {
        StoreError::Damaged(what) => StoreError::Damaged(format!("{}: {what}", path.display())),
        StoreError::Unavailable(source) => StoreError::Unavailable(format!("{}: {source}", path.display()).into()),
    }
}
