//! What follows from an event of a purchase, as rows and facts.

use contracts::{
    ALLOCATIONS, AccountId, Fact, PURCHASES, Place, PurchaseConfirmed, PurchasePlan, PurchaseRefunded,
    PurchaseRejected, Reason, Status, StockReleased,
};
use rules::{Action, Cancellation, Paid, PaymentState, PurchaseEvent, Refund};
use stage::{Key, Outputs, StageError, WorkingSet};

use super::{Correction, OutcomeRow, SettlementRow, What};

impl SettlementRow {
    /// Applies an event and records what follows.
    pub(super) fn follow(
        &mut self,
        happened: PurchaseEvent,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        let before = self.state.cancellation;
        let actions = self.state.apply(happened).map_err(|error| self.broken(&error.to_string()))?;
        for action in actions {
            match action {
                Action::Release(Place { sku, number }) => {
                    let key = Key(sku.to_string());
                    out.emit(&ALLOCATIONS, key, Fact::StockReleased(StockReleased { sku, number }))?;
                }
                Action::Charge(paid) => self.charge(paid, out)?,
                Action::Finish(status, reason) => self.finish(status, reason, rows, out)?,
                Action::Refund(refund) => self.refund(refund, out)?,
            }
        }
        let after = self.state.cancellation;
        let ended = match after.filter(|_| after != before) {
            Some(Cancellation::Completed) => Some(What::CancellationCompleted),
            Some(Cancellation::Rejected) => Some(What::CancellationRejected),
            Some(Cancellation::Asked(_) | Cancellation::Applied) | None => None,
        };
        ended.into_iter().for_each(|what| self.note(what, out));
        Ok(())
    }

    /// The strict form of what the ingress stage says of a loose purchase: its stock is held, so it is charged.
    fn charge(&mut self, Paid { charged, total }: Paid, out: &mut Outputs<Fact>) -> Result<(), StageError> {
        let plan = self.plan()?;
        let kept = plan.numbered().filter(|(number, _)| !self.state.dropped.contains_key(number));
        let confirmed = PurchaseConfirmed {
            purchase: self.purchase.clone(),
            customer: plan.customer.clone(),
            occurred_at: plan.occurred_at,
            total,
            charged,
            conversion: plan.conversion.clone(),
            lines: kept.map(|(_, line)| line.sold.clone()).collect(),
            is_limited: true,
        };
        let key = AccountId::of_customer(&plan.customer).key();
        self.note(What::Charged(Paid { charged, total }), out);
        out.emit(&PURCHASES, key, Fact::PurchaseConfirmed(confirmed))
    }

    /// Records the outcome. Readers of the purchases hear of a rejection if they have not heard of a charge.
    fn finish(
        &mut self,
        status: Status,
        reason: Option<Reason>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        rows.insert(&OutcomeRow::new(&self.purchase, status, reason.as_ref(), out))?;
        let Some(reason) = reason.filter(|_| self.state.payment == PaymentState::Open) else { return Ok(()) };
        let (purchase, customer) = (self.purchase.clone(), self.plan()?.customer.clone());
        let key = AccountId::of_customer(&customer).key();
        out.emit(&PURCHASES, key, Fact::PurchaseRejected(PurchaseRejected { purchase, customer, reason }))
    }

    fn refund(&mut self, refund: Refund, out: &mut Outputs<Fact>) -> Result<(), StageError> {
        let Refund { credit, of_total, voucher, reason } = refund;
        let (purchase, customer) = (self.purchase.clone(), self.plan()?.customer.clone());
        let key = AccountId::of_customer(&customer).key();
        self.note(What::Refunded { credit, voucher, reason: reason.clone() }, out);
        let refunded = PurchaseRefunded { purchase, customer, credit, of_total, voucher, reason };
        out.emit(&PURCHASES, key, Fact::PurchaseRefunded(refunded))
    }

    fn note(&mut self, what: What, out: &Outputs<Fact>) {
        self.corrections.push(Correction { what, batch: out.batch() });
    }

    fn plan(&self) -> Result<&PurchasePlan, StageError> {
        self.state.plan.as_ref().ok_or_else(|| self.broken("decided without terms"))
    }

    fn broken(&self, what: &str) -> StageError {
        StageError::Rule(format!("purchase {}: {what}", self.purchase))
    }
}
