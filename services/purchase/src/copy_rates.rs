//! `copy-rates`: the purchase service's own copy of the rates, so that it never has to ask.

use contracts::{Fact, RATES, RATES_KEY, RateRow};
use stage::{Broken, Event, Keys, Outputs, Row as _, Rows, Spread, Stage, Stream, Table};

/// Keeps every version of the rates, as published.
pub struct CopyRates;

impl Stage for CopyRates {
    type Fact = Fact;
    type Said = Fact;
    type Answer = ();
    const NAME: &'static str = "copy-rates";
    const SPREAD: Spread = Spread::OfKey(RATES_KEY);
    const READS: &'static [&'static Stream] = &[&RATES];
    const TABLES: &'static [&'static Table] = &[RateRow::TABLE];

    fn keys(&self, _: &Event<Fact>, _: &Rows, _: &mut Keys) -> Result<(), Broken> {
        Ok(())
    }

    fn apply(&self, event: &Event<Fact>, rows: &mut Rows, _: &mut Outputs<Fact>) -> Result<(), Broken> {
        match &event.fact {
            Fact::RatesPublished(rates) => rows.insert(&RateRow::from(rates)),
            Fact::HistoryImported(history) => rows.insert(&RateRow::from(history)),
            Fact::PurchaseConfirmed(_) | Fact::PurchaseRejected(_) | Fact::LegsSaid(_) | Fact::PaymentPosted(_) => {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
