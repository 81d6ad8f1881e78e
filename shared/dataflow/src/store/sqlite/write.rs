//! One commit: all its statements in one round trip, the fence first, and then COMMIT.

use futures_util::TryStreamExt as _;
use sqlx::{Either, Executor as _, SqliteConnection};
use stage::{Change, Frame};

use super::{Query, integer, sql, unavailable};
use crate::{Commit, CommitError};

/// The statements before the rows: BEGIN, the batch record, the note of the newest record.
const BEFORE_ROWS: usize = 3;
/// The place of the statement that inserts the batch record.
const FENCE: usize = 1;

/// Begins a transaction and executes everything but its COMMIT.
pub(super) async fn write(connection: &mut SqliteConnection, commit: &Commit) -> Result<(), CommitError> {
    let Commit { record, changes, frames } = commit;
    let runs: Vec<_> = changes.chunk_by(is_alike).collect();
    let kinds: Vec<_> = runs.iter().map(|run| (run[0].table, run[0].write)).collect();
    let text = sql::commit(&kinds, frames.len());
    let (owner, hash, number) = (record.owner.to_string(), record.hash.to_string(), integer(record.number.0));
    let mut query = sqlx::query(&text)
        .bind(&owner)
        .bind(number)
        .bind(integer(record.epoch.0))
        .bind(&record.consumed)
        .bind(&record.checkpoint)
        .bind(&record.committed_at)
        .bind(record.previous.to_string())
        .bind(&hash)
        .bind(&owner)
        .bind(number)
        .bind(&hash);
    for run in &runs {
        query = query.bind(sql::json(run.iter().map(|change| change.cells.as_slice())));
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
    // Fewer updated rows than expected means that a loaded row was deleted.
    let written = runs.iter().zip(done.iter().skip(BEFORE_ROWS));
    match written.into_iter().find(|(run, done)| run.len() as u64 != **done) {
        Some((run, _)) => Err(CommitError::Conflict(run[0].table.name.to_owned())),
        None => Ok(()),
    }
}

fn is_alike(one: &Change, next: &Change) -> bool {
    one.table.name == next.table.name && one.write == next.write
}

/// The error of the statement at this place. A unique violation is a permanent conflict, not a transient failure.
fn failed(error: sqlx::Error, place: usize, runs: &[&[Change]]) -> CommitError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => match place.checked_sub(BEFORE_ROWS) {
            None if place == FENCE => CommitError::Fenced,
            None => unavailable(sqlx::Error::Database(error)),
            Some(at) => CommitError::Conflict(runs.get(at).map_or("journal", |run| run[0].table.name).to_owned()),
        },
        error => unavailable(error),
    }
}

fn bind_frame<'q>(query: Query<'q>, frame: &'q Frame) -> Query<'q> {
    query
        .bind(frame.producer.to_string())
        .bind(frame.target.to_string())
        .bind(integer(frame.seq.0))
        .bind(integer(frame.facts as u64))
        .bind(frame.previous.to_string())
        .bind(frame.hash.to_string())
        .bind(frame.body.as_str())
}
