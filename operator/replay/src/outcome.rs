//! What should become of a purchase, and what the ledger should then have.

use contracts::{AccountId, CustomerId, Leg, ReasonCode, Side};
use money::Money;

/// The expected result of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedOutcome {
    /// It is paid.
    Settled {
        /// The amount that the seller gets.
        total: Money,
        /// The amount that the customer pays.
        charged: Money,
    },
    /// It is rejected, and nothing is posted.
    Rejected(ReasonCode),
}

impl ExpectedOutcome {
    /// Its postings in the ledger. They go through `fx` if the currency of the payment differs from that of the price.
    pub fn legs(&self, customer: &CustomerId) -> Vec<Leg> {
        let Self::Settled { total, charged } = *self else {
            return Vec::new();
        };
        let leg = |account, side, amount| Leg { account, side, amount };
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
