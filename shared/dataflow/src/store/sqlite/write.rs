//! The statements of one commit, the fence first.

use sqlx::SqliteConnection;
use stage::{Change, Frame, Record, Write};

use super::{bind, integer, sql, unavailable};
use crate::{Commit, CommitError};

pub(super) async fn write(connection: &mut SqliteConnection, commit: &Commit) -> Result<(), CommitError> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(unavailable)?;
    insert_record(connection, &commit.record).await?;
    let mut changes = commit.changes.as_slice();
    while let Some(first) = changes.first() {
        let alike = |change: &&Change| change.table.name == first.table.name && change.write == first.write;
        let count = changes.iter().take_while(alike).count();
        let (run, rest) = changes.split_at(count);
        write_rows(connection, first, run).await?;
        changes = rest;
    }
    for frame in &commit.frames {
        insert_frame(connection, frame).await.map_err(conflict_in("journal"))?;
    }
    Ok(())
}

/// Inserts the batch record. The fence comes first: nothing else is written when the number is taken.
async fn insert_record(connection: &mut SqliteConnection, record: &Record) -> Result<(), CommitError> {
    let owner = record.owner.to_string();
    let insert = sqlx::query("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
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
    let note = "INSERT INTO owners VALUES (?, ?, ?) \
                ON CONFLICT (owner) DO UPDATE SET number = excluded.number, hash = excluded.hash";
    let note = sqlx::query(note).bind(&owner).bind(integer(record.number.0)).bind(record.hash.to_string());
    note.execute(connection).await.map_err(unavailable)?;
    Ok(())
}

async fn write_rows(connection: &mut SqliteConnection, like: &Change, mut rows: &[Change]) -> Result<(), CommitError> {
    for size in sql::chunks(rows.len()) {
        let (now, later) = rows.split_at(size);
        let text = match like.write {
            Write::Insert => sql::insert(like.table, size),
            Write::Update => sql::update(like.table, size),
        };
        let query = now.iter().flat_map(|change| &change.cells).fold(sqlx::query(&text), bind);
        let done = query.execute(&mut *connection).await.map_err(conflict_in(like.table.name))?;
        // Fewer updated rows than expected means that a loaded row was deleted.
        if done.rows_affected() != size as u64 {
            return Err(CommitError::Conflict(like.table.name.to_owned()));
        }
        rows = later;
    }
    Ok(())
}

async fn insert_frame(connection: &mut SqliteConnection, frame: &Frame) -> sqlx::Result<()> {
    let insert = sqlx::query("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(frame.producer.to_string())
        .bind(frame.target.to_string())
        .bind(integer(frame.seq.0))
        .bind(integer(frame.facts as u64))
        .bind(frame.previous.to_string())
        .bind(frame.hash.to_string())
        .bind(&frame.body);
    insert.execute(connection).await.map(drop)
}

/// A unique violation is a permanent conflict, not a transient failure.
fn conflict_in(table: &'static str) -> impl Fn(sqlx::Error) -> CommitError {
    move |error| match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => CommitError::Conflict(table.to_owned()),
        error => unavailable(error),
    }
}
