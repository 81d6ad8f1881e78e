//! Checks of batch records: numbers, epochs, chain, positions and consumed input.

use dataflow::Store;
use serde_json::Value;
use stage::{BatchNumber, Consumed, Epoch, FrameRange, Hash, Position, Positions, Producer, Record, Seq};

use super::names::{self, Name};
use super::{Checks, Seen};
use crate::simulation::scene::{Scene, now};
use crate::simulation::violation::{Checked, ensure, stopped};

impl Checks {
    /// Checks one new record and what was written with it.
    pub(super) fn record(&mut self, record: &Record, store: &Store, scene: &mut Scene<'_>) -> Checked {
        let (owner, number) = (&record.owner, record.number);
        let read = record.parse_consumed().map_err(|error| stopped(&error))?;
        let seen = self.seen.get(owner);
        follows(record, seen.map(|seen| &seen.last), matches!(read, Consumed::Claim))?;
        let before = seen.map(|seen| seen.checkpoint.clone()).unwrap_or_default();
        let checkpoint = record.parse_checkpoint().map_err(|error| stopped(&error))?;
        let positions = match &read {
            Consumed::Claim | Consumed::Requests(_) => before.positions.clone(),
            Consumed::Frames(ranges) => self.after_runs(record, &before.positions, ranges)?,
        };
        ensure!(positions == checkpoint.positions, Positions, "{owner} has wrong positions in batch {number}");
        let silent = matches!(read, Consumed::Claim);
        ensure!(
            !silent || before.last_frames == checkpoint.last_frames,
            Dense,
            "{owner} emitted something with claim {number}"
        );
        self.emitted(owner, store, &before.last_frames, &checkpoint.last_frames)?;
        let (last, ranges) = (record.clone(), if let Consumed::Frames(ranges) = read { ranges } else { Vec::new() });
        self.seen.insert(owner.clone(), Seen { last, checkpoint });
        if silent {
            return Ok(());
        }
        match names::of(owner)? {
            Name::RecordRates => self.rates_recorded(record, scene),
            Name::CopyRates => self.rates_copied(),
            Name::Accept => self.accepted(record, scene),
            Name::RecordCommands => self.instructed(record, scene),
            Name::Post => self.posted(record, &ranges, scene),
            Name::Settle => self.settled(record, &ranges, scene),
            Name::Allocate => self.allocated(&ranges, scene),
        }
    }

    /// The positions of a reader after these ranges. Each range begins where the last one ended, and is in a journal.
    fn after_runs(&self, record: &Record, before: &Positions, ranges: &[FrameRange]) -> Checked<Positions> {
        let mut list: Vec<_> = before.clone().into();
        for run in ranges {
            let FrameRange { target, producer, from, frames } = run;
            let (owner, number) = (&record.owner, record.number);
            let expected = Positions::from(list.clone()).of(target, producer).next;
            ensure!(
                *from == expected,
                Dense,
                "{owner} applied {producer}>{target}#{from} in batch {number}, but #{expected} was next"
            );
            let last = usize::try_from(from.0 + frames - 1).unwrap_or(usize::MAX);
            let emitted = self.journals.get(&(producer.clone(), target.clone()));
            let emitted = emitted.and_then(|emitted| emitted.get(last.wrapping_sub(1)));
            let Some(emitted) = emitted else {
                ensure!(false, Recorded, "{owner} applied {producer}>{target}#{last}, which is in no journal");
                continue;
            };
            list.retain(|(to, by, _)| (to, by) != (target, producer));
            list.push((
                target.clone(),
                producer.clone(),
                Position { next: Seq(last as u64 + 1), previous: emitted.hash },
            ));
        }
        Ok(list.into())
    }
}

/// Checks that number, epoch and hash follow those of the previous record.
fn follows(record: &Record, last: Option<&Record>, is_claim: bool) -> Checked {
    let Record { owner, number, epoch, .. } = record;
    ensure!(record.is_intact(), Chain, "batch {number} of {owner} does not match its hash");
    let (before, last_epoch, hash) =
        last.map_or((BatchNumber(0), Epoch(0), Hash::ZERO), |last| (last.number, last.epoch, last.hash));
    ensure!(*number == before.next(), Fence, "batch {number} of {owner} follows {before}");
    ensure!(record.previous == hash, Chain, "batch {number} of {owner} breaks the hash chain");
    let expected = if is_claim { last_epoch.next() } else { last_epoch };
    ensure!(*epoch == expected, Fence, "batch {number} of {owner} has epoch {epoch}, not {expected}");
    Ok(())
}

/// Checks all records of an owner, from the first one on.
pub(super) fn whole_chain(owner: &Producer, store: &Store) -> Checked {
    let records = now(store.records(owner, BatchNumber(1), usize::MAX)).map_err(|error| stopped(&error))?;
    let mut last: Option<Record> = None;
    for record in records {
        let read = record.parse_consumed().map_err(|error| stopped(&error))?;
        follows(&record, last.as_ref(), matches!(read, Consumed::Claim))?;
        last = Some(record);
    }
    Ok(())
}

/// The requests of a record, as JSON.
pub(super) fn requests(record: &Record) -> Checked<Vec<Value>> {
    let read = record.parse_consumed().map_err(|error| stopped(&error))?;
    match read {
        Consumed::Requests(requests) => serde_json::from_str(requests.get()).map_err(|error| stopped(&error)),
        Consumed::Claim | Consumed::Frames(_) => Ok(Vec::new()),
    }
}
