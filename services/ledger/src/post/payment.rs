//! Payments: the payer's leg, which can be refused, and the legs that follow from it.

use contracts::{AccountId, Leg, PurchaseConfirmed, Purpose, Side, TransferAccepted};
use money::Money;
use stage::RequestId;

/// A payment. Its legs sum to zero in each currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The request that caused it.
    pub request_id: RequestId,
    /// What is paid: a purchase, a transfer or an overdraft fee.
    pub purpose: Purpose,
    /// The payer's leg: posted first, or refused.
    pub payer: Leg,
    /// The legs requested from the partitions of their accounts. Legs of one account are adjacent.
    pub others: Vec<Leg>,
}

impl Payment {
    /// The payment of a purchase. If the customer pays in another currency than the price, the account `fx` takes the
    /// charged amount and gives the total.
    pub fn of_purchase(purchase: &PurchaseConfirmed) -> Self {
        let (charged, total) = (purchase.charged, purchase.total);
        let mut others = vec![credit(AccountId::merchant(), total)];
        if charged.currency() != total.currency() {
            others.extend([credit(AccountId::fx(), charged), debit(AccountId::fx(), total)]);
        }
        let payer = debit(AccountId::of_customer(&purchase.customer), charged);
        Self { request_id: purchase.purchase.clone(), purpose: Purpose::Purchase, payer, others }
    }

    /// The payment of a transfer.
    pub fn of_transfer(transfer: &TransferAccepted) -> Self {
        let TransferAccepted { transfer, payer, payee, amount } = transfer.clone();
        let (payer, others) = (debit(payer, amount), vec![credit(payee, amount)]);
        Self { request_id: transfer, purpose: Purpose::Transfer, payer, others }
    }

    /// The payment of the overdraft fee that this payment causes.
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
