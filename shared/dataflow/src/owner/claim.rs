//! Taking over a partition.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use stage::{Checkpoint, Consumed, Hash, LastFrame, Producer, Record, StageError, StreamPartition};

use super::error::{OwnerError, stop, unavailable};
use crate::{Commit, CommitError, Store};

/// The maximum number of attempts. One fails only when another batch of the same owner landed in between.
const CLAIM_TRIES_MAX: usize = 3;

/// Inserts the next record with the next epoch. With `mine`, it does so only while no other owner has claimed.
/// A claim with an unknown result is kept in `in_doubt`. If it is inserted again, it cannot land twice; if it turns out
/// to be the newest record, the partition is ours.
pub(super) fn claim<'a>(
    id: &'a Producer,
    store: &'a Store,
    mine: Option<&'a Record>,
    in_doubt: &'a mut Option<Record>,
    now: DateTime<Utc>,
) -> BoxFuture<'a, Result<(Record, Checkpoint), OwnerError>> {
    Box::pin(try_to_claim(id, store, mine, in_doubt, now))
}

async fn try_to_claim(
    id: &Producer,
    store: &Store,
    mine: Option<&Record>,
    in_doubt: &mut Option<Record>,
    now: DateTime<Utc>,
) -> Result<(Record, Checkpoint), OwnerError> {
    let mut last_error = CommitError::Fenced;
    for _ in 0..CLAIM_TRIES_MAX {
        let newest = store.newest(id).await.map_err(|error| unavailable(id, error))?;
        let broken = |source| OwnerError::Stage { owner: id.clone(), source };
        let checkpoint = match &newest {
            None => Checkpoint::default(),
            Some(record) => record.parse_checkpoint().map_err(|error| broken(error.into()))?,
        };
        if let Some(landed) = in_doubt.take_if(|claim| newest.as_ref() == Some(claim)) {
            return Ok((landed, checkpoint));
        }
        let taken = |mine: &Record| newest.as_ref().is_none_or(|newest| newest.epoch != mine.epoch);
        if mine.is_some_and(taken) {
            return Err(OwnerError::Fenced(id.clone()));
        }
        if let Some(what) = changed_behind(id, store, newest.as_ref(), &checkpoint).await? {
            let moved = store.newest(id).await.map_err(|error| unavailable(id, error))? != newest;
            if moved {
                continue;
            }
            return Err(broken(StageError::Rule(format!("{what}: run `unbundled audit`"))));
        }
        let previous = newest.as_ref().map_or(Hash::ZERO, |newest| newest.hash);
        let again = in_doubt.take().filter(|claim| claim.previous == previous);
        let was_tried = again.is_some();
        let record = match again {
            Some(record) => record,
            None => Record::following(newest.as_ref(), id, &Consumed::Claim, &checkpoint, now)
                .map_err(|error| broken(error.into()))?,
        };
        let commit = Commit { record: record.clone(), changes: Vec::new(), frames: Vec::new() };
        match store.commit(&commit).await {
            Ok(_) => return Ok((record, checkpoint)),
            // Our batch or claim with an unknown result may have landed just now: read again.
            Err(CommitError::Fenced) if was_tried => *in_doubt = Some(record),
            Err(CommitError::Fenced) if mine.is_some() => {}
            Err(error @ CommitError::InDoubt(_)) => {
                *in_doubt = Some(record);
                last_error = error;
            }
            Err(error) => {
                // A claim whose result was unknown before is still unknown.
                *in_doubt = was_tried.then_some(record);
                return Err(stop(id, error));
            }
        }
    }
    Err(stop(id, last_error))
}

/// What was changed since the newest record was written, if anything. Continuing from there would repeat or lose an
/// effect, and hide the change.
async fn changed_behind(
    id: &Producer,
    store: &Store,
    newest: Option<&Record>,
    checkpoint: &Checkpoint,
) -> Result<Option<String>, OwnerError> {
    let noted = store.chain_end(id).await.map_err(|error| unavailable(id, error))?;
    if noted != newest.map(|record| (record.number, record.hash.to_string())) {
        return Ok(Some("the newest batch record is not the one noted".to_owned()));
    }
    if let Some(record) = newest.filter(|record| !record.is_intact()) {
        return Ok(Some(format!("batch {} was changed after it was written", record.number)));
    }
    let targets: Vec<_> = checkpoint.last_frames.keys().collect();
    let last = store.last_frames(id, &targets).await.map_err(|error| unavailable(id, error))?;
    let ends_with = |target: &StreamPartition, recorded: &LastFrame| {
        let mut last = last.iter().filter(|frame| frame.target == *target);
        last.any(|frame| frame.seq == recorded.seq && frame.hash == recorded.hash && frame.is_intact())
    };
    let other = checkpoint.last_frames.iter().find(|(target, recorded)| !ends_with(target, recorded));
    Ok(other.map(|(target, _)| format!("the journal for {target} does not end with the last recorded frame")))
}
