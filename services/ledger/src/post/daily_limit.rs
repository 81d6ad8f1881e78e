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
        Purpose::Refund | Purpose::Return | Purpose::Voucher | Purpose::OverdraftFee => false,
    };
    is_payment && entry.currency == limit.currency()
}

fn key(payer: &Leg, arrived: DateTime<Utc>) -> (AccountId, NaiveDate) {
    (payer.account.clone(), arrived.date_naive())
}

fn limit_for(limit: Option<Money>, payment: Money) -> Option<Money> {
    limit.filter(|limit| limit.currency() == payment.currency())
}

/// The payments of a day with one more.
pub(super) struct DailyPayments {
    limit: Money,
    row: DailyPaymentsRow,
}

impl DailyPayments {
    /// The reason why a payment would exceed the daily limit. `None` if it does not.
    pub(super) fn over_limit(&self, payment: Money) -> Option<Reason> {
        let (limit, DailyPaymentsRow { account, amount: sum, .. }) = (self.limit, &self.row);
        let currency = limit.currency();
        let detail = format!(
            "with a payment of {payment}, {account} would pay {sum} {currency} on this day: its daily limit is {limit}"
        );
        (*sum > limit.amount()).then_some(Reason { code: ReasonCode::DailyLimit, detail })
    }
}

impl Posting<'_> {
    /// The payments of the day with this one. `None` if the account has no daily limit in the currency.
    pub(super) fn with_payment(
        &self,
        account: Option<&AccountRow>,
        payer: &Leg,
    ) -> Result<Option<DailyPayments>, StageError> {
        let limit = account.and_then(|row| limit_for(row.daily_limit, payer.amount));
        let Some(limit) = limit else { return Ok(None) };
        let (account, day) = key(payer, self.event.cause.time);
        let before = match self.is_loaded(&account, day) {
            true => self.rows.get::<DailyPaymentsRow>(&(account.clone(), day))?.map(|row| row.amount),
            false => None,
        };
        let amount = before.unwrap_or(Amount::zero(limit.currency())) + payer.amount.amount();
        Ok(Some(DailyPayments { limit, row: DailyPaymentsRow { account, day, amount } }))
    }

    /// Writes the payments of the day.
    pub(super) fn record(&mut self, DailyPayments { row, .. }: &DailyPayments) -> Result<(), StageError> {
        if self.is_loaded(&row.account, row.day) { self.rows.put(row) } else { self.rows.insert(row) }
    }

    /// An account that was opened earlier in this batch has no payments yet, so none were loaded.
    fn is_loaded(&self, account: &AccountId, day: NaiveDate) -> bool {
        self.rows.is_loaded::<DailyPaymentsRow>(&(account.clone(), day))
    }
}
