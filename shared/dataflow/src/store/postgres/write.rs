//! One commit: BEGIN, one statement that writes everything, and then COMMIT.

use sqlx::{PgConnection, Row as _};
use stage::{Cell, CellKind, Column, Frame, Record};

use super::session::Query;
use super::sql;
use crate::store::encode::{bind_record, integer};
use crate::store::failure::unavailable;
use crate::store::runs::{check_written, runs};
use crate::{Commit, CommitError};

/// Begins a transaction and executes everything but its COMMIT.
pub(super) async fn write(connection: &mut PgConnection, commit: &Commit) -> Result<(), CommitError> {
    sqlx::query("BEGIN").execute(&mut *connection).await.map_err(unavailable)?;
    let Commit { record, changes, frames } = commit;
    let runs = runs(changes);
    let text = sql::commit(&runs, !frames.is_empty());
    let mut query = bind_record(sqlx::query(&text), record);
    for run in &runs {
        query = bind_columns(query, run.table.columns, &run.rows);
    }
    if !frames.is_empty() {
        query = bind_frames(query, frames);
    }
    let written = match query.fetch_one(&mut *connection).await {
        Ok(written) => written,
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            return Err(conflict(connection, record, error.table().unwrap_or("journal").to_owned()).await);
        }
        Err(error) => return Err(unavailable(error)),
    };
    let counts = (1..=runs.len()).map(|at| Ok(u64::try_from(written.try_get::<i64, _>(at)?).unwrap_or_default()));
    check_written(&runs, counts.collect::<sqlx::Result<Vec<_>>>().map_err(unavailable)?)
}

/// A key in this table was taken. If the number of the batch is taken too, another owner has written both, whichever
/// was noticed first. Otherwise it is a permanent conflict, not a transient failure.
async fn conflict(connection: &mut PgConnection, record: &Record, table: String) -> CommitError {
    let rolled_back = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    let taken = sqlx::query("SELECT 1 FROM batches WHERE owner = $1 AND number = $2");
    let taken = taken.bind(record.owner.to_string()).bind(integer(record.number.0)).fetch_optional(connection).await;
    match rolled_back.and(taken) {
        Ok(Some(_)) => CommitError::Fenced,
        Ok(None) => CommitError::Conflict(table),
        Err(error) => unavailable(error),
    }
}

fn bind_frames<'q>(query: Query<'q>, frames: &'q [Frame]) -> Query<'q> {
    let texts = |text: fn(&Frame) -> String| frames.iter().map(text).collect::<Vec<_>>();
    let integers = |number: fn(&Frame) -> u64| frames.iter().map(|frame| integer(number(frame))).collect::<Vec<_>>();
    query
        .bind(texts(|frame| frame.producer.to_string()))
        .bind(texts(|frame| frame.target.to_string()))
        .bind(integers(|frame| frame.seq.0))
        .bind(integers(|frame| frame.facts as u64))
        .bind(texts(|frame| frame.previous.to_string()))
        .bind(texts(|frame| frame.hash.to_string()))
        .bind(frames.iter().map(|frame| frame.body.as_str()).collect::<Vec<_>>())
}

/// Binds one array per column, each with one element per row: shorter arrays would be padded with nulls.
pub(super) fn bind_columns<'q>(query: Query<'q>, columns: &[Column], rows: &[&'q [Cell]]) -> Query<'q> {
    let fits = |(column, cell): (&Column, &Cell)| match cell {
        Cell::Null => column.nullable,
        Cell::Integer(_) => column.kind == CellKind::Integer,
        Cell::Text(_) => column.kind != CellKind::Integer,
    };
    let is_row = |cells: &&[Cell]| cells.len() == columns.len() && columns.iter().zip(*cells).all(fits);
    assert!(rows.iter().all(is_row), "a row does not match its table");
    let bind = |query: Query<'q>, (at, column): (usize, &Column)| match column.kind {
        CellKind::Integer => query.bind(rows.iter().map(|cells| as_integer(&cells[at])).collect::<Vec<_>>()),
        CellKind::Text | CellKind::Decimal => {
            query.bind(rows.iter().map(|cells| as_text(&cells[at])).collect::<Vec<_>>())
        }
    };
    columns.iter().enumerate().fold(query, bind)
}

fn as_integer(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Integer(number) => Some(*number),
        Cell::Null | Cell::Text(_) => None,
    }
}

fn as_text(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text),
        Cell::Null | Cell::Integer(_) => None,
    }
}
