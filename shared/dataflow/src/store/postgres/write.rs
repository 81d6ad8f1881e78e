//! The statements of one commit, the fence first.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use stage::{Cell, CellKind, Change, Column, Frame, Record, Write};

use super::session::Query;
use super::{integer, sql};
use crate::{Commit, CommitError};

pub(super) async fn write(connection: &mut PgConnection, commit: &Commit) -> Result<(), CommitError> {
    sqlx::query("BEGIN").execute(&mut *connection).await.map_err(unavailable)?;
    insert_record(connection, &commit.record).await?;
    for rows in ranges(&commit.changes).into_values() {
        write_rows(connection, &rows).await?;
    }
    if !commit.frames.is_empty() {
        insert_frames(connection, &commit.frames).await?;
    }
    Ok(())
}

/// Inserts the batch record. The fence comes first: nothing else is written when the number is taken.
async fn insert_record(connection: &mut PgConnection, record: &Record) -> Result<(), CommitError> {
    let owner = record.owner.to_string();
    let insert = sqlx::query("INSERT INTO batches VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(&owner)
        .bind(integer(record.number.0))
        .bind(integer(record.epoch.0))
        .bind(&record.consumed)
        .bind(&record.checkpoint)
        .bind(&record.committed_at)
        .bind(record.previous.to_string())
        .bind(record.hash.to_string());
    insert.execute(&mut *connection).await.map_err(|error| match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => CommitError::Fenced,
        error => unavailable(error),
    })?;
    let note = "INSERT INTO owners VALUES ($1, $2, $3) \
                ON CONFLICT (owner) DO UPDATE SET number = excluded.number, hash = excluded.hash";
    let note = sqlx::query(note).bind(&owner).bind(integer(record.number.0)).bind(record.hash.to_string());
    note.execute(connection).await.map_err(unavailable)?;
    Ok(())
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

async fn write_rows(connection: &mut PgConnection, rows: &[&Change]) -> Result<(), CommitError> {
    let Some(Change { table, write, .. }) = rows.first() else { return Ok(()) };
    let text = match write {
        Write::Insert => sql::insert(table),
        Write::Update => sql::update(table),
    };
    let cells: Vec<&[Cell]> = rows.iter().map(|change| change.cells.as_slice()).collect();
    let query = bind_columns(sqlx::query(&text), table.columns, &cells);
    let done = query.execute(connection).await.map_err(conflict_in(table.name))?;
    // Fewer updated rows than expected means that a loaded row was deleted.
    if done.rows_affected() == rows.len() as u64 { Ok(()) } else { Err(CommitError::Conflict(table.name.to_owned())) }
}

async fn insert_frames(connection: &mut PgConnection, frames: &[Frame]) -> Result<(), CommitError> {
    let texts = |text: fn(&Frame) -> String| frames.iter().map(text).collect::<Vec<_>>();
    let integers = |number: fn(&Frame) -> u64| frames.iter().map(|frame| integer(number(frame))).collect::<Vec<_>>();
    let statement = "INSERT INTO journal (producer, target, seq, facts, previous, hash, body) SELECT * FROM \
         UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[])";
    let insert = sqlx::query(statement)
        .bind(texts(|frame| frame.producer.to_string()))
        .bind(texts(|frame| frame.target.to_string()))
        .bind(integers(|frame| frame.seq.0))
        .bind(integers(|frame| frame.facts as u64))
        .bind(texts(|frame| frame.previous.to_string()))
        .bind(texts(|frame| frame.hash.to_string()))
        .bind(frames.iter().map(|frame| frame.body.as_str()).collect::<Vec<_>>());
    insert.execute(connection).await.map(drop).map_err(conflict_in("journal"))
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

/// A unique violation is a permanent conflict, not a transient failure.
fn conflict_in(table: &'static str) -> impl Fn(sqlx::Error) -> CommitError {
    move |error| match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => CommitError::Conflict(table.to_owned()),
        error => unavailable(error),
    }
}
