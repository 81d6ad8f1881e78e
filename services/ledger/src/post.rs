//! `post`: double entry. It decides about the payer's leg of a payment and requests the other legs.
//!
//! Debit and credit are posted in different partitions, and no commit spans them. The payer's leg is posted or refused
//! at once. The same commit requests the other legs from the partitions of their accounts, where they cannot be
//! refused. A leg that is requested and not yet posted is in transit. A handle belongs to the claim that comes first in
//! the log of its partition.

mod daily_limit;
mod posting;
mod rows;

use contracts::{
    AccountClaimed, AccountOpened, AccountRejected, CREDITS, Fact, LEDGER_COMMANDS, LedgerCommand, LegsRequested,
    OUTCOMES, PURCHASES, PaymentPosted, PaymentRefused, PurchaseConfirmed, PurchaseRefunded, PurchaseRejected, Reason,
    ReasonCode, ReturnAccepted, ReturnPosted, TransferAccepted, TransferPosted, TransferRejected,
};
use rules::Payment;
use stage::{
    Event, Outputs, Partition, Partitioning, ReadSet, RequestId, Row as _, Stage, StageError, Stream, Table, WorkingSet,
};

use self::posting::{Posting, leg_reads, payment_reads};

pub use self::rows::{AccountRow, BalanceRow, DailyPaymentsRow, DecisionRow, EntryRow, TotalsRow};

stage::payload! {
    /// The facts that `post` reads from `purchases`, `ledger-commands` and `credits`.
    pub enum PostInput {
        /// A purchase, to be paid or refused.
        PurchaseConfirmed(PurchaseConfirmed),
        /// A rejected purchase, which moves no money.
        PurchaseRejected(PurchaseRejected),
        /// A refund, to be posted.
        PurchaseRefunded(PurchaseRefunded),
        /// A return, to be refunded.
        ReturnAccepted(ReturnAccepted),
        /// A claim, to be decided: the first one wins.
        AccountClaimed(AccountClaimed),
        /// A transfer, to be paid or refused.
        TransferAccepted(TransferAccepted),
        /// A rejected transfer, which moves no money.
        TransferRejected(TransferRejected),
        /// Legs, to be posted.
        LegsRequested(LegsRequested),
    }
}

/// Posts to the accounts of one partition.
pub struct Post {
    partition: Partition,
}

impl Post {
    /// The stage for the accounts of this partition.
    pub fn new(partition: Partition) -> Self {
        Self { partition }
    }
}

impl Stage for Post {
    type Input = PostInput;
    type Output = Fact;
    const NAME: &'static str = "post";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&PURCHASES, &LEDGER_COMMANDS, &CREDITS];
    const TABLES: &'static [&'static Table] = &[
        AccountRow::TABLE,
        DailyPaymentsRow::TABLE,
        BalanceRow::TABLE,
        EntryRow::TABLE,
        TotalsRow::TABLE,
        DecisionRow::TABLE,
    ];

    fn read_set(&self, event: &Event<PostInput>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        match &event.fact {
            PostInput::PurchaseConfirmed(purchase) => {
                let payment = Payment::of_purchase(purchase);
                payment_reads(self.partition, &payment, reads);
                daily_limit::reads(&payment.first, event.cause.time, rows, reads)?;
            }
            PostInput::TransferAccepted(transfer) => {
                let payment = Payment::of_transfer(transfer);
                payment_reads(self.partition, &payment, reads);
                daily_limit::reads(&payment.first, event.cause.time, rows, reads)?;
            }
            PostInput::PurchaseRefunded(refunded) => {
                let payments = Payment::of_refund(refunded);
                payments.iter().for_each(|payment| payment_reads(self.partition, payment, reads));
            }
            PostInput::ReturnAccepted(accepted) => {
                payment_reads(self.partition, &Payment::of_return(accepted), reads);
            }
            PostInput::LegsRequested(emitted) => {
                emitted.legs.iter().for_each(|leg| leg_reads(self.partition, leg, reads))
            }
            PostInput::AccountClaimed(claim) => reads.row::<AccountRow>(&(claim.account.clone(),)),
            PostInput::PurchaseRejected(_) | PostInput::TransferRejected(_) => {}
        }
        Ok(())
    }

    fn apply(
        &self,
        event: &Event<PostInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        let mut posting = Posting { partition: self.partition, event, rows, out };
        match &event.fact {
            PostInput::PurchaseConfirmed(purchase) => posting.purchase(purchase),
            PostInput::TransferAccepted(transfer) => posting.transfer(transfer),
            PostInput::PurchaseRefunded(refunded) => posting.refund(refunded),
            PostInput::ReturnAccepted(accepted) => posting.refund_return(accepted),
            PostInput::LegsRequested(emitted) => posting.apply(emitted),
            PostInput::AccountClaimed(claim) => posting.claim(claim),
            PostInput::PurchaseRejected(_) | PostInput::TransferRejected(_) => Ok(()),
        }
    }
}

impl Posting<'_> {
    fn purchase(&mut self, confirmed: &PurchaseConfirmed) -> Result<(), StageError> {
        let (payment, purchase) = (Payment::of_purchase(confirmed), confirmed.purchase.clone());
        let is_limited = confirmed.is_limited;
        let fact = match self.pay(&payment)? {
            None => Fact::PaymentPosted(PaymentPosted { purchase, is_limited }),
            Some(Reason { detail, .. }) => {
                let reason = Reason { code: ReasonCode::PaymentRefused, detail };
                Fact::PaymentRefused(PaymentRefused { purchase, is_limited, reason })
            }
        };
        self.out.emit(&OUTCOMES, payment.first.account.key(), fact)
    }

    /// A refund is credited whatever the account's terms.
    fn refund(&mut self, refunded: &PurchaseRefunded) -> Result<(), StageError> {
        Payment::of_refund(refunded).iter().try_for_each(|payment| self.post_and_emit(payment))
    }

    /// So is the refund of a return, which then has its outcome.
    fn refund_return(&mut self, accepted: &ReturnAccepted) -> Result<(), StageError> {
        let payment = Payment::of_return(accepted);
        self.post_and_emit(&payment)?;
        let posted = ReturnPosted { return_id: accepted.return_id.clone(), credit: payment.first.amount };
        self.out.emit(&OUTCOMES, payment.first.account.key(), Fact::ReturnPosted(posted))
    }

    fn transfer(&mut self, accepted: &TransferAccepted) -> Result<(), StageError> {
        let (payment, transfer) = (Payment::of_transfer(accepted), accepted.transfer.clone());
        let refused = self.pay(&payment)?;
        self.decide(LedgerCommand::Transfer, &transfer, refused.as_ref())?;
        let fact = match refused {
            None => Fact::TransferPosted(TransferPosted { transfer }),
            Some(reason) => Fact::TransferRejected(TransferRejected { transfer, reason }),
        };
        self.out.emit(&OUTCOMES, payment.first.account.key(), fact)
    }

    /// The first claim of a handle wins; the handles of system accounts are always taken.
    fn claim(&mut self, claimed: &AccountClaimed) -> Result<(), StageError> {
        let AccountClaimed { claim, account, overdraft, daily_limit } = claimed.clone();
        let is_taken = account.is_system() || self.rows.get::<AccountRow>(&(account.clone(),))?.is_some();
        let refused = is_taken.then(|| Reason { code: ReasonCode::HandleTaken, detail: format!("{account} is taken") });
        self.decide(LedgerCommand::Claim, &claim, refused.as_ref())?;
        let key = account.key();
        let fact = match refused {
            Some(reason) => Fact::AccountRejected(AccountRejected { claim, account, reason }),
            None => {
                let opened_by = Some(claim.clone());
                self.rows.put(&AccountRow {
                    account: account.clone(),
                    entries: 0,
                    opened_by,
                    overdraft,
                    daily_limit,
                })?;
                Fact::AccountOpened(AccountOpened { claim, account })
            }
        };
        self.out.emit(&OUTCOMES, key, fact)
    }

    fn decide(&mut self, kind: LedgerCommand, request: &RequestId, refused: Option<&Reason>) -> Result<(), StageError> {
        let (reason_code, reason_detail) = Reason::columns(refused);
        self.rows.insert(&DecisionRow {
            kind,
            request_id: request.clone(),
            reason_code,
            reason_detail,
            partition: self.partition,
            batch: self.out.batch(),
        })
    }
}

#[cfg(test)]
mod tests;
