//! Double entry in one partition: entries, balances, running totals, and the legs requested from other partitions.

use contracts::{CREDITS, Fact, Leg, LegsRequested, Purpose, Reason, Side};
use money::Amount;
use rules::{Payment, authorize};
use stage::{Event, Outputs, Partition, ReadSet, RequestId, StageError, WorkingSet};

use super::{AccountRow, BalanceRow, EntryRow, PostInput, TotalsRow};

/// A fact that is being posted.
pub(super) struct Posting<'a> {
    /// The partition that posts it.
    pub partition: Partition,
    /// The fact, with the request that caused it.
    pub event: &'a Event<PostInput>,
    /// The rows loaded for it.
    pub rows: &'a mut WorkingSet,
    /// The facts that follow from it.
    pub out: &'a mut Outputs<Fact>,
}

/// Adds the rows that posting a leg here needs.
pub(super) fn leg_reads(partition: Partition, leg: &Leg, reads: &mut ReadSet) {
    reads.row::<AccountRow>(&(leg.account.clone(),));
    reads.row::<BalanceRow>(&(leg.account.clone(), leg.amount.currency()));
    totals_reads(partition, leg, reads);
}

/// Adds the rows that paying from an account here needs. A fee is in the payer's currency.
pub(super) fn payment_reads(partition: Partition, payment: &Payment, reads: &mut ReadSet) {
    leg_reads(partition, &payment.first, reads);
    payment.others.iter().for_each(|leg| totals_reads(partition, leg, reads));
}

fn totals_reads(partition: Partition, leg: &Leg, reads: &mut ReadSet) {
    reads.row::<TotalsRow>(&(partition, leg.amount.currency()));
}

impl Posting<'_> {
    /// Posts the payer's leg and requests the others; or refuses the payment, moves nothing, and returns the reason.
    pub fn pay(&mut self, payment: &Payment) -> Result<Option<Reason>, StageError> {
        let payer = &payment.first;
        let account = self.rows.get::<AccountRow>(&(payer.account.clone(),))?;
        let terms = account.and_then(|account| account.terms());
        let today = self.paid_today(terms.as_ref(), payer)?;
        let paid_today = today.as_ref().map_or(Amount::zero(payer.amount.currency()), |today| today.amount);
        let fee = match authorize(terms.as_ref(), payer, self.balance(payer)?, paid_today) {
            Ok(fee) => fee,
            Err(reason) => return Ok(Some(reason)),
        };
        self.post_and_emit(payment)?;
        if let Some(fee) = fee {
            self.post_and_emit(&payment.fee(fee))?;
        }
        today.map_or(Ok(()), |today| self.add_to_day(today, payer.amount))?;
        Ok(None)
    }

    pub fn post_and_emit(&mut self, payment: &Payment) -> Result<(), StageError> {
        self.post(&payment.request_id, payment.purpose, &payment.first)?;
        for leg in &payment.others {
            self.total(leg, |totals| match leg.side {
                Side::Debit => &mut totals.requested_debits,
                Side::Credit => &mut totals.requested_credits,
            })?;
        }
        for legs in payment.others.chunk_by(|a, b| a.account == b.account) {
            let (request_id, purpose) = (payment.request_id.clone(), payment.purpose);
            let emitted = LegsRequested { request_id, purpose, legs: legs.to_vec() };
            self.out.emit(&CREDITS, legs[0].account.key(), Fact::LegsRequested(emitted))?;
        }
        Ok(())
    }

    /// Posts legs that a payer's partition requested. They cannot be refused.
    pub fn apply(&mut self, emitted: &LegsRequested) -> Result<(), StageError> {
        for leg in &emitted.legs {
            self.post(&emitted.request_id, emitted.purpose, leg)?;
            self.total(leg, |totals| match leg.side {
                Side::Debit => &mut totals.completed_debits,
                Side::Credit => &mut totals.completed_credits,
            })?;
        }
        Ok(())
    }

    /// Writes the entry, the balance and the posted total.
    fn post(&mut self, request_id: &RequestId, purpose: Purpose, leg: &Leg) -> Result<(), StageError> {
        let (account, currency, amount) = (leg.account.clone(), leg.amount.currency(), leg.amount.amount());
        let row = self.rows.get::<AccountRow>(&(account.clone(),))?;
        let mut row = row.unwrap_or(AccountRow::on_first_use(account.clone()));
        row.entries += 1;
        self.rows.put(&row)?;
        let balance = leg.after(self.balance(leg)?);
        self.rows.put(&BalanceRow { account: account.clone(), currency, amount: balance })?;
        let (number, request_id, time) = (row.entries, request_id.clone(), self.event.cause.time);
        self.rows.insert(&EntryRow { account, number, request_id, purpose, side: leg.side, currency, amount, time })?;
        self.total(leg, |totals| match leg.side {
            Side::Debit => &mut totals.debits,
            Side::Credit => &mut totals.credits,
        })
    }

    fn balance(&self, leg: &Leg) -> Result<Amount, StageError> {
        let currency = leg.amount.currency();
        let balance = self.rows.get::<BalanceRow>(&(leg.account.clone(), currency))?;
        Ok(balance.map_or(Amount::zero(currency), |row| row.amount))
    }

    fn total(&mut self, leg: &Leg, of: impl Fn(&mut TotalsRow) -> &mut Amount) -> Result<(), StageError> {
        let currency = leg.amount.currency();
        let totals = self.rows.get::<TotalsRow>(&(self.partition, currency))?;
        let mut totals = totals.unwrap_or(TotalsRow::zero(self.partition, currency));
        let total = of(&mut totals);
        *total += leg.amount.amount();
        if !total.is_fit_for_a_total() {
            return Err(StageError::Rule(format!("the totals of {currency} have outgrown their limit: {total}")));
        }
        self.rows.put(&totals)
    }
}
