//! One commit: all its statements in one round trip, the fence first, and then COMMIT.

use futures_util::TryStreamExt as _;
use sqlx::{Either, Executor as _, Sqlite, SqliteConnection};
use stage::Frame;

use super::sql;
use crate::store::encode::{Query, bind_record, integer};
use crate::store::failure::unavailable;
use crate::store::runs::{Run, check_written, runs};
use crate::{Commit, CommitError};

/// The statements before the rows: BEGIN, the batch record, the note of the newest record.
const BEFORE_ROWS: usize = 3;
/// The place of the statement that inserts the batch record.
const FENCE: usize = 1;

/// Begins a transaction and executes everything but its COMMIT.
pub(super) async fn write(connection: &mut SqliteConnection, commit: &Commit) -> Result<(), CommitError> {
    let Commit { record, changes, frames } = commit;
    let runs = runs(changes);
    let text = sql::commit(&runs, frames.len());
    let query = bind_record(sqlx::query(&text), record);
    let mut query = query.bind(record.owner.to_string()).bind(integer(record.number.0)).bind(record.hash.to_string());
    for run in &runs {
        query = query.bind(sql::json(run.rows.iter().copied()));
    }
    for frame in frames {
        query = bind_frame(query, frame);
    }
    let mut done = Vec::new();
    let mut results = connection.fetch_many(query);
    loop {
        match results.try_next().await {
            Ok(Some(Either::Left(result))) => done.push(result.rows_affected()),
            Ok(Some(Either::Right(_))) => {}
            Ok(None) => break,
            Err(error) => return Err(failed(error, done.len(), &runs)),
        }
    }
    check_written(&runs, done.into_iter().skip(BEFORE_ROWS))
}

/// The error of the statement at this place. A unique violation is a permanent conflict, not a transient failure.
fn failed(error: sqlx::Error, place: usize, runs: &[Run<'_>]) -> CommitError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => match place.checked_sub(BEFORE_ROWS) {
            None if place == FENCE => CommitError::Fenced,
            None => unavailable(sqlx::Error::Database(error)),
            Some(at) => CommitError::Conflict(runs.get(at).map_or("journal", |run| run.table.name).to_owned()),
        },
        error => unavailable(error),
    }
}

fn bind_frame<'q>(query: Query<'q, Sqlite>, frame: &'q Frame) -> Query<'q, Sqlite> {
    query
        .bind(frame.producer.to_string())
        .bind(frame.target.to_string())
        .bind(integer(frame.seq.0))
        .bind(integer(frame.facts as u64))
        .bind(frame.previous.to_string())
        .bind(frame.hash.to_string())
        .bind(frame.body.as_str())
}
