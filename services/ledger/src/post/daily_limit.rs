//! How much an account may pay in a day.

use chrono::{DateTime, NaiveDate, Utc};
use contracts::{AccountId, Leg, Purpose, Reason, ReasonCode, Side};
use money::{Amount, Money};
use stage::{ReadSet, StageError, WorkingSet};

use super::posting::Posting;
use super::{AccountRow, DailyPaymentsRow, EntryRow};

/// Adds the payments of the day, once it is known that the payer has a daily limit.
pub(super) fn reads(
    payer: &Leg,
    arrived: DateTime<Utc>,
    rows: &WorkingSet,
    reads: &mut ReadSet,
) -> Result<(), StageError> {
    let account = (payer.account.clone(),);
    if rows.is_loaded::<AccountRow>(&account)
        && let Some(row) = rows.get::<AccountRow>(&account)?
        && limit_for(row.daily_limit, payer.amount).is_some()
    {
        reads.row::<DailyPaymentsRow>(&key(payer, arrived));
    }
    Ok(())
}

/// Whether an entry counts against the daily limit of its account.
pub fn is_counted(entry: &EntryRow, limit: Money) -> bool {
    let is_payment = match entry.purpose {
        Purpose::Purchase | Purpose::Transfer => entry.side == Side::Debit,
        Purpose::Refund | Purpose::Voucher | Purpose::OverdraftFee => false,
    };
    is_payment && entry.currency == limit.currency()
}

fn key(payer: &Leg, arrived: DateTime<Utc>) -> (AccountId, NaiveDate) {
    (payer.account.clone(), arrived.date_naive())
}

fn limit_for(limit: Option<Money>, payment: Money) -> Option<Money> {
    limit.filter(|limit| limit.currency() == payment.currency())
}

impl Posting<'_> {
    /// The reason why the payment would exceed the payer's daily limit. `None` if it does not.
    pub(super) fn over_daily_limit(&self, payer: &Leg) -> Result<Option<Reason>, StageError> {
        let Some((limit, sum)) = self.daily_sum(payer)? else { return Ok(None) };
        if sum <= limit.amount() {
            return Ok(None);
        }
        let Leg { account, amount, .. } = payer;
        let currency = amount.currency();
        let detail = format!(
            "with a payment of {amount}, {account} would pay {sum} {currency} on this day: its daily limit is {limit}"
        );
        Ok(Some(Reason { code: ReasonCode::DailyLimit, detail }))
    }

    /// Adds a payment to those of its day.
    pub(super) fn count_daily_payment(&mut self, payer: &Leg) -> Result<(), StageError> {
        let Some((_, amount)) = self.daily_sum(payer)? else { return Ok(()) };
        let (account, day) = key(payer, self.event.cause.time);
        let row = DailyPaymentsRow { account: account.clone(), day, amount };
        if self.rows.is_loaded::<DailyPaymentsRow>(&(account, day)) {
            self.rows.put(&row)
        } else {
            self.rows.insert(&row)
        }
    }

    /// The limit of the payer, and what its payments of the day come to with this one. `None` without a limit. An
    /// account that was opened earlier in this batch has no payments, so none were loaded.
    fn daily_sum(&self, payer: &Leg) -> Result<Option<(Money, Amount)>, StageError> {
        let account = self.rows.get::<AccountRow>(&(payer.account.clone(),))?;
        let Some(limit) = account.and_then(|row| limit_for(row.daily_limit, payer.amount)) else { return Ok(None) };
        let key = key(payer, self.event.cause.time);
        let before = match self.rows.is_loaded::<DailyPaymentsRow>(&key) {
            true => self.rows.get::<DailyPaymentsRow>(&key)?.map(|row| row.amount),
            false => None,
        };
        Ok(Some((limit, before.unwrap_or(Amount::zero(limit.currency())) + payer.amount.amount())))
    }
}
