//! `settle`: the final outcome of each purchase, and what is put right after it. Each purchase gets exactly one outcome,
//! which is appended and never changed; refunds and cancellations stand beside it.
//!
//! A purchase whose stock is unlimited is settled by its payment alone. For the others, and for a cancellation, the
//! events are gathered in a row of `settlements` until the rules of [`Settlement`] decide. A return is settled as soon as
//! the ledger has posted its refund, which it cannot refuse.

mod emit;
mod rows;

use contracts::{
    CancellationRequested, Fact, LINES, LinesDecided, OUTCOMES, PaymentPosted, PaymentRefused, PurchasePlaced,
    ReturnPosted, Status,
};
use rules::{PurchaseEvent, Settlement};
use stage::{Event, Outputs, Partitioning, ReadSet, RequestId, Row as _, Stage, StageError, Stream, Table, WorkingSet};

pub use self::rows::{Correction, OutcomeRow, ReturnOutcomeRow, SettlementRow, What};

stage::payload! {
    /// The facts that `settle` reads from `outcomes` and `lines`.
    pub enum SettleInput {
        /// The payment of a purchase was posted.
        PaymentPosted(PaymentPosted),
        /// The payment of a purchase was refused.
        PaymentRefused(PaymentRefused),
        /// A purchase with limited stock was accepted.
        PurchasePlaced(PurchasePlaced),
        /// Lines of a purchase were decided.
        LinesDecided(LinesDecided),
        /// The customer cancels a purchase.
        CancellationRequested(CancellationRequested),
        /// The refund of a return was posted.
        ReturnPosted(ReturnPosted),
        .. Other
    }
}

/// Stores the outcomes.
pub struct Settle;

impl Stage for Settle {
    type Input = SettleInput;
    type Output = Fact;
    const NAME: &'static str = "settle";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&OUTCOMES, &LINES];
    const TABLES: &'static [&'static Table] = &[OutcomeRow::TABLE, SettlementRow::TABLE, ReturnOutcomeRow::TABLE];

    fn read_set(&self, event: &Event<SettleInput>, _: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        if let Some(purchase) = purchase_of(&event.fact) {
            reads.row::<SettlementRow>(&(purchase.clone(),));
        }
        if let SettleInput::CancellationRequested(cancelled) = &event.fact {
            reads.row::<OutcomeRow>(&(cancelled.purchase.clone(),));
        }
        Ok(())
    }

    fn apply(
        &self,
        event: &Event<SettleInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        if let SettleInput::ReturnPosted(posted) = &event.fact {
            return rows.insert(&ReturnOutcomeRow::new(posted, out));
        }
        let Some(purchase) = purchase_of(&event.fact) else { return Ok(()) };
        let gathered = rows.get::<SettlementRow>(&(purchase.clone(),))?;
        let happened = match event.fact.clone() {
            SettleInput::PaymentPosted(PaymentPosted { is_limited: false, .. }) if gathered.is_none() => {
                return rows.insert(&OutcomeRow::new(purchase, Status::Settled, None, out));
            }
            SettleInput::PaymentRefused(PaymentRefused { is_limited: false, reason, .. }) if gathered.is_none() => {
                return rows.insert(&OutcomeRow::new(purchase, Status::Rejected, Some(&reason), out));
            }
            SettleInput::PaymentPosted(_) => PurchaseEvent::PaymentPosted,
            SettleInput::PaymentRefused(PaymentRefused { reason, .. }) => PurchaseEvent::PaymentRefused(reason),
            SettleInput::PurchasePlaced(PurchasePlaced { plan, .. }) => PurchaseEvent::Placed(plan),
            SettleInput::LinesDecided(LinesDecided { lines, .. }) => PurchaseEvent::Decided(lines),
            SettleInput::CancellationRequested(CancellationRequested { plan, occurred_at, .. }) => {
                PurchaseEvent::Cancelled(plan, occurred_at)
            }
            SettleInput::ReturnPosted(_) | SettleInput::Other(_) => return Ok(()),
        };
        let mut row = match gathered {
            Some(row) => row,
            None => SettlementRow::new(purchase, begin(purchase, &happened, rows)?, out),
        };
        row.follow(happened, rows, out)?;
        rows.put(&row)
    }
}

/// The state before the first event. A cancellation may be the first that is gathered of a purchase that has its
/// outcome.
fn begin(purchase: &RequestId, happened: &PurchaseEvent, rows: &WorkingSet) -> Result<Settlement, StageError> {
    let PurchaseEvent::Cancelled(plan, _) = happened else { return Ok(Settlement::default()) };
    let outcome = rows.get::<OutcomeRow>(&(purchase.clone(),))?;
    Ok(outcome.map(|outcome| Settlement::of_outcome(plan, outcome.status)).unwrap_or_default())
}

fn purchase_of(fact: &SettleInput) -> Option<&RequestId> {
    match fact {
        SettleInput::PaymentPosted(PaymentPosted { purchase, .. })
        | SettleInput::PaymentRefused(PaymentRefused { purchase, .. })
        | SettleInput::PurchasePlaced(PurchasePlaced { purchase, .. })
        | SettleInput::LinesDecided(LinesDecided { purchase, .. })
        | SettleInput::CancellationRequested(CancellationRequested { purchase, .. }) => Some(purchase),
        SettleInput::ReturnPosted(_) | SettleInput::Other(_) => None,
    }
}

#[cfg(test)]
mod tests;
