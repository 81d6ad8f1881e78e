//! One commit: BEGIN, one statement that writes everything, and then COMMIT.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _};
use stage::{Cell, CellKind, Change, Column, Frame, Record, Write};

use super::session::Query;
use super::{integer, sql};
use crate::{Commit, CommitError};

/// Begins a transaction and executes everything but its COMMIT.
pub(super) async fn write(connection: &mut PgConnection, commit: &Commit) -> Result<(), CommitError> {
    sqlx::query("BEGIN").execute(&mut *connection).await.map_err(unavailable)?;
    let Commit { record, changes, frames } = commit;
    let runs: Vec<_> = ranges(changes).into_values().collect();
    let kinds: Vec<_> = runs.iter().map(|run| (run[0].table, run[0].write)).collect();
    let text = sql::commit(&kinds, !frames.is_empty());
    let mut query = sqlx::query(&text)
        .bind(record.owner.to_string())
        .bind(integer(record.number.0))
        .bind(integer(record.epoch.0))
        .bind(&record.consumed)
        .bind(&record.checkpoint)
        .bind(&record.committed_at)
        .bind(record.previous.to_string())
        .bind(record.hash.to_string());
    for run in &runs {
        let cells: Vec<&[Cell]> = run.iter().map(|change| change.cells.as_slice()).collect();
        query = bind_columns(query, run[0].table.columns, &cells);
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
    for (at, run) in (1..).zip(&runs) {
        // Fewer updated rows than expected means that a loaded row was deleted.
        if written.try_get::<i64, _>(at).map_err(unavailable)? != integer(run.len() as u64) {
            return Err(CommitError::Conflict(run[0].table.name.to_owned()));
        }
    }
    Ok(())
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

/// Groups changes by table and kind; each group becomes one statement. Every writer uses the same order of tables,
/// kinds and keys, so that no two of them deadlock.
fn ranges(changes: &[Change]) -> BTreeMap<(&'static str, bool), Vec<&Change>> {
    let mut ranges: BTreeMap<_, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        ranges.entry((change.table.name, change.write == Write::Update)).or_default().push(change);
    }
    let key = |change: &&Change| change.cells[..change.table.key_columns].to_vec();
    ranges.values_mut().filter(|rows| !rows.is_sorted_by_key(key)).for_each(|rows| rows.sort_by_cached_key(key));
    ranges
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

pub(super) fn unavailable(error: sqlx::Error) -> CommitError {
    CommitError::Unavailable(Box::new(error))
}
