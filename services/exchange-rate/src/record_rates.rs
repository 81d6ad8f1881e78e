//! `record-rates`: the system of record of exchange rates. Every version is kept.

use chrono::{DateTime, Utc};
use contracts::{HistoryImported, Imported, RATES, RATES_KEY, RateRow, RatesByPair, RatesFact, RatesPublished};
use money::{RateSource, RateVersion};
use serde::{Deserialize, Serialize};
use stage::{
    Event, Flag, IngressStage, Integer, Json, Key, Outputs, Partitioning, ReadSet, Row as _, Stage, StageError, Table,
    Text, Time, WorkingSet,
};

stage::payload! {
    /// A request to the service.
    pub enum RecordRatesInput {
        /// Publishes rates.
        SetRates(SetRates),
    }
}

/// Rates to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRates {
    /// The source that sets them.
    pub source: RateSource,
    /// The rates by moment. No moment occurs twice.
    pub moments: Vec<Moment>,
    /// Whether these rates complete the history.
    pub completes_history: bool,
}

/// Rates that are valid from one moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The moment from which they are valid.
    pub valid_from: DateTime<Utc>,
    /// The rates.
    pub rates: RatesByPair,
}

stage::row! {
    /// The newest rates of one moment, including corrections. New rates are compared with them to find the changes.
    pub struct MomentRow: "moments" {
        key {
            /// The moment from which they are valid.
            valid_from: DateTime<Utc> => Time,
        }
        value {
            /// All rates of that moment.
            rates: RatesByPair => Json,
        }
    }
}

stage::row! {
    /// The newest version.
    pub struct NewestRow: "newest" {
        key {
            /// Always `rates`.
            name: String => Text,
        }
        value {
            /// The number of the version.
            version: u64 => Integer,
            /// Whether the history is complete.
            complete: bool => Flag,
        }
    }
}

impl NewestRow {
    /// The key of the only row.
    pub fn key() -> (String,) {
        (RATES_KEY.to_owned(),)
    }

    fn raise(&mut self) -> RateVersion {
        self.version += 1;
        RateVersion(self.version)
    }
}

/// Records and publishes rates.
pub struct RecordRates;

impl Stage for RecordRates {
    type Input = RecordRatesInput;
    type Output = RatesFact;
    const NAME: &'static str = "record-rates";
    const PARTITIONING: Partitioning = Partitioning::Unkeyed;
    const TABLES: &'static [&'static Table] = &[RateRow::TABLE, MomentRow::TABLE, NewestRow::TABLE];

    fn read_set(&self, event: &Event<RecordRatesInput>, _: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        let RecordRatesInput::SetRates(request) = &event.fact;
        reads.row::<NewestRow>(&NewestRow::key());
        request.moments.iter().for_each(|moment| reads.row::<MomentRow>(&(moment.valid_from,)));
        Ok(())
    }

    fn apply(
        &self,
        event: &Event<RecordRatesInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<RatesFact>,
    ) -> Result<(), StageError> {
        self.submit(event, rows, out).map(drop)
    }
}

impl IngressStage for RecordRates {
    type Reply = Imported;

    fn submit(
        &self,
        event: &Event<RecordRatesInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<RatesFact>,
    ) -> Result<Imported, StageError> {
        let RecordRatesInput::SetRates(request) = &event.fact;
        let newest = rows.get::<NewestRow>(&NewestRow::key())?;
        let (name,) = NewestRow::key();
        let mut newest = newest.unwrap_or(NewestRow { name, version: 0, complete: false });
        let mut imported = Imported { read: 0, new: 0, changed: 0, unchanged: 0 };
        for moment in &request.moments {
            let changed = take(moment, rows, &mut imported)?;
            if !changed.is_empty() {
                let version = newest.raise();
                let (valid_from, source) = (moment.valid_from, request.source.clone());
                let fact = RatesPublished { version, valid_from, source, rates: changed };
                rows.insert(&RateRow::from(&fact))?;
                out.emit(&RATES, Key(RATES_KEY.to_owned()), RatesFact::RatesPublished(fact))?;
            }
        }
        if request.completes_history && !newest.complete {
            newest.complete = true;
            let version = newest.raise();
            let fact = HistoryImported { version, source: request.source.clone(), imported_at: event.cause.time };
            rows.insert(&RateRow::from(&fact))?;
            out.emit(&RATES, Key(RATES_KEY.to_owned()), RatesFact::HistoryImported(fact))?;
        }
        if newest.version > 0 {
            rows.put(&newest)?;
        }
        Ok(imported)
    }
}

/// Merges the rates of a moment into the stored ones. Returns the new and the changed rates.
fn take(moment: &Moment, rows: &mut WorkingSet, imported: &mut Imported) -> Result<RatesByPair, StageError> {
    let held = rows.get::<MomentRow>(&(moment.valid_from,))?;
    let mut held = held.map(|row| row.rates).unwrap_or_default();
    let mut changed = RatesByPair::new();
    for (base, quotes) in &moment.rates {
        for (quote, rate) in quotes {
            imported.read += 1;
            let before = held.entry(*base).or_default().insert(*quote, *rate);
            match before {
                None => imported.new += 1,
                Some(before) if before == *rate => {
                    imported.unchanged += 1;
                    continue;
                }
                Some(_) => imported.changed += 1,
            }
            changed.entry(*base).or_default().insert(*quote, *rate);
        }
    }
    if !changed.is_empty() {
        rows.put(&MomentRow { valid_from: moment.valid_from, rates: held })?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
