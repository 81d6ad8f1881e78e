//! `copy-rates`: the purchase service's own copy of the rates, so that it never has to ask.

use contracts::{RATES, RATES_KEY, RateRow, RatesFact};
use stage::{Broken, Event, Outputs, Row as _, Rows, Spread, Stage, Stream, Table};

/// Keeps every version of the rates, as published.
pub struct CopyRates;

impl Stage for CopyRates {
    type Fact = RatesFact;
    type Said = RatesFact;
    type Answer = ();
    const NAME: &'static str = "copy-rates";
    const SPREAD: Spread = Spread::OfKey(RATES_KEY);
    const READS: &'static [&'static Stream] = &[&RATES];
    const TABLES: &'static [&'static Table] = &[RateRow::TABLE];

    fn apply(&self, event: &Event<RatesFact>, rows: &mut Rows, _: &mut Outputs<RatesFact>) -> Result<(), Broken> {
        match &event.fact {
            RatesFact::RatesPublished(rates) => rows.insert(&RateRow::from(rates)),
            RatesFact::HistoryImported(history) => rows.insert(&RateRow::from(history)),
        }
    }
}

#[cfg(test)]
mod tests;
