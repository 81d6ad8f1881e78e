//! What should become of a purchase or a return, and what the ledger should then have.

use contracts::{AccountId, CustomerId, Leg, ReasonCode, Side};
use money::Money;

use crate::request_kind::RequestKind;

/// The expected result of a purchase or a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedOutcome {
    /// It is paid, or refunded.
    Settled {
        /// The amount that the seller gets, or gives back.
        total: Money,
        /// The amount that the customer pays, or gets back.
        charged: Money,
    },
    /// It is rejected, and nothing is posted.
    Rejected(ReasonCode),
}

impl ExpectedOutcome {
    /// Its postings in the ledger. They go through `fx` if the currency of the payment differs from that of the price.
    /// Those of a return are the reverse of those of a purchase.
    pub fn legs(&self, kind: RequestKind, customer: &CustomerId) -> Vec<Leg> {
        let Self::Settled { total, charged } = *self else {
            return Vec::new();
        };
        let side = |of_purchase: Side| match (kind, of_purchase) {
            (RequestKind::Purchase, side) => side,
            (RequestKind::Return, Side::Debit) => Side::Credit,
            (RequestKind::Return, Side::Credit) => Side::Debit,
        };
        let leg = |account, of_purchase, amount| Leg { account, side: side(of_purchase), amount };
        let mut legs = vec![
            leg(AccountId::of_customer(customer), Side::Debit, charged),
            leg(AccountId::merchant(), Side::Credit, total),
        ];
        if total.currency() != charged.currency() {
            legs.push(leg(AccountId::fx(), Side::Credit, charged));
            legs.push(leg(AccountId::fx(), Side::Debit, total));
        }
        legs
    }
}
