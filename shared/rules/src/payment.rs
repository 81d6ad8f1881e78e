//! Payments: the payer's leg, which can be refused, and the legs that follow from it.

use contracts::{
    AccountId, CustomerId, Leg, PurchaseConfirmed, PurchaseRefunded, Purpose, ReturnAccepted, Side, TransferAccepted,
};
use money::Money;
use stage::RequestId;

/// A payment. Its legs sum to zero in each currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The request that caused it.
    pub request_id: RequestId,
    /// What is paid, or paid back.
    pub purpose: Purpose,
    /// The leg that is posted first, in the partition that decides: the payer's debit, which may be refused, or the
    /// credit of a refund.
    pub first: Leg,
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
        let first = debit(AccountId::of_customer(&purchase.customer), charged);
        Self { request_id: purchase.purchase.clone(), purpose: Purpose::Purchase, first, others }
    }

    /// The refund of a purchase, the reverse of its payment, and its voucher. The customer's legs are credits, which
    /// are not refused.
    pub fn of_refund(refunded: &PurchaseRefunded) -> Vec<Self> {
        let PurchaseRefunded { purchase, customer, credit: charged, of_total, voucher, .. } = refunded;
        let refund = Self::reverse(purchase, Purpose::Refund, customer, *charged, *of_total);
        let voucher = voucher.map(|amount| Self {
            request_id: purchase.clone(),
            purpose: Purpose::Voucher,
            first: credit(AccountId::of_customer(customer), amount),
            others: vec![debit(AccountId::vouchers(), amount)],
        });
        [refund].into_iter().chain(voucher).collect()
    }

    /// The refund of a return: the reverse of what a purchase of the same lines would have paid.
    pub fn of_return(accepted: &ReturnAccepted) -> Self {
        let ReturnAccepted { return_id, customer, credit, total, .. } = accepted;
        Self::reverse(return_id, Purpose::Return, customer, *credit, *total)
    }

    /// Credits the customer with what was, or would have been, charged, and takes the total back from the seller.
    fn reverse(request_id: &RequestId, purpose: Purpose, customer: &CustomerId, charged: Money, total: Money) -> Self {
        let mut others = vec![debit(AccountId::merchant(), total)];
        if charged.currency() != total.currency() {
            others.extend([debit(AccountId::fx(), charged), credit(AccountId::fx(), total)]);
        }
        let first = credit(AccountId::of_customer(customer), charged);
        Self { request_id: request_id.clone(), purpose, first, others }
    }

    /// The payment of a transfer.
    pub fn of_transfer(transfer: &TransferAccepted) -> Self {
        let TransferAccepted { transfer, payer, payee, amount } = transfer.clone();
        let (first, others) = (debit(payer, amount), vec![credit(payee, amount)]);
        Self { request_id: transfer, purpose: Purpose::Transfer, first, others }
    }

    /// The payment of the overdraft fee that this payment causes.
    pub fn fee(&self, fee: Money) -> Self {
        Self {
            request_id: self.request_id.clone(),
            purpose: Purpose::OverdraftFee,
            first: debit(self.first.account.clone(), fee),
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
