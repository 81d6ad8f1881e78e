//! `settle`: what finally became of each purchase. Exactly one outcome each, appended, never changed.

use contracts::{Fact, OUTCOMES, Status};
use stage::{Broken, Event, Integer, Keys, Outputs, RequestId, Row as _, Rows, Spread, Stage, Stream, Table, Text};

stage::row! {
    /// The outcome of a purchase that was charged.
    pub struct OutcomeRow: "outcomes" {
        key {
            /// The purchase's request.
            purchase: RequestId => Text,
        }
        value {
            /// What became of it.
            status: Status => Text,
            /// The partition of `settle` that wrote this
            partition: u64 => Integer,
            /// and in which of its batches: the batch record knows when.
            batch: u64 => Integer,
        }
    }
}

/// Gathers outcomes.
pub struct Settle;

impl Stage for Settle {
    type Fact = Fact;
    type Said = Fact;
    type Answer = ();
    const NAME: &'static str = "settle";
    const SPREAD: Spread = Spread::Every;
    const READS: &'static [&'static Stream] = &[&OUTCOMES];
    const TABLES: &'static [&'static Table] = &[OutcomeRow::TABLE];

    fn keys(&self, _: &Event<Fact>, _: &Rows, _: &mut Keys) -> Result<(), Broken> {
        Ok(())
    }

    fn apply(&self, event: &Event<Fact>, rows: &mut Rows, say: &mut Outputs<Fact>) -> Result<(), Broken> {
        match &event.fact {
            Fact::PaymentPosted(payment) => rows.insert(&OutcomeRow {
                purchase: payment.purchase.clone(),
                status: Status::Settled,
                partition: u64::from(say.partition().0),
                batch: say.batch().0,
            }),
            Fact::PurchaseConfirmed(_)
            | Fact::PurchaseRejected(_)
            | Fact::LegsSaid(_)
            | Fact::RatesPublished(_)
            | Fact::HistoryImported(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
