//! `copy-rates`: keeps the purchase service's local copy of the rates.

use contracts::{RATES, RATES_KEY, RateRow, RatesFact};
use stage::{Event, Outputs, Partitioning, Row as _, Stage, StageError, Stream, Table, WorkingSet};

/// Stores every published version of the rates.
pub struct CopyRates;

impl Stage for CopyRates {
    type Input = RatesFact;
    type Output = RatesFact;
    const NAME: &'static str = "copy-rates";
    const PARTITIONING: Partitioning = Partitioning::SingleKey(RATES_KEY);
    const READS: &'static [&'static Stream] = &[&RATES];
    const TABLES: &'static [&'static Table] = &[RateRow::TABLE];

    fn apply(
        &self,
        event: &Event<RatesFact>,
        rows: &mut WorkingSet,
        _: &mut Outputs<RatesFact>,
    ) -> Result<(), StageError> {
        match &event.fact {
            RatesFact::RatesPublished(rates) => rows.insert(&RateRow::from(rates)),
            RatesFact::HistoryImported(history) => rows.insert(&RateRow::from(history)),
        }
    }
}

#[cfg(test)]
mod tests;
