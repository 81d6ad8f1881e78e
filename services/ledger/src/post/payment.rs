//! What is to be paid: the payer's leg, which can be refused, and the legs that follow from it.

use contracts::{AccountId, Leg, PurchaseConfirmed, Purpose, Side, TransferAccepted};
use money::Money;
use stage::RequestId;

/// Legs that sum to zero in each currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The request behind it.
    pub request_id: RequestId,
    /// What for.
    pub purpose: Purpose,
    /// Posted first, or refused.
    pub payer: Leg,
    /// Said to the partitions of their accounts; those of one account stand together.
    pub others: Vec<Leg>,
}

impl Payment {
    /// What a purchase comes to. Paid in another currency than its price, it goes through `fx`, which takes
    /// the one and gives the other.
    pub fn of_purchase(purchase: &PurchaseConfirmed) -> Self {
        let (charged, total) = (purchase.charged, purchase.total);
        let mut others = vec![credit(AccountId::merchant(), total)];
        if charged.currency() != total.currency() {
            others.extend([credit(AccountId::fx(), charged), debit(AccountId::fx(), total)]);
        }
        let payer = debit(AccountId::of_customer(&purchase.customer), charged);
        Self { request_id: purchase.purchase.clone(), purpose: Purpose::Purchase, payer, others }
    }

    /// What a transfer comes to.
    pub fn of_transfer(transfer: &TransferAccepted) -> Self {
        let TransferAccepted { transfer, payer, payee, amount } = transfer.clone();
        let (payer, others) = (debit(payer, amount), vec![credit(payee, amount)]);
        Self { request_id: transfer, purpose: Purpose::Transfer, payer, others }
    }

    /// What it costs the payer to go beyond the limit with this.
    pub fn fee(&self, fee: Money) -> Self {
        Self {
            request_id: self.request_id.clone(),
            purpose: Purpose::OverdraftFee,
            payer: debit(self.payer.account.clone(), fee),
            others: vec![credit(AccountId::fees(), fee)],
        }
    }
}

fn debit(account: AccountId, amount: Money) -> Leg {
    Leg { account, side: Side::Debit, amount }
}

fn credit(account: AccountId, amount: Money) -> Leg {
    Leg { account, side: Side::Credit, amount }
}
