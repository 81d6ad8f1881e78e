//! The payments of a day, for accounts with a daily limit.

use chrono::{DateTime, NaiveDate, Utc};
use contracts::{AccountId, Leg};
use money::{Amount, Money};
use rules::AccountTerms;
use stage::{ReadSet, StageError, WorkingSet};

use super::posting::Posting;
use super::{AccountRow, DailyPaymentsRow};

/// Adds the payments of the day, once it is known that the payer has a daily limit.
pub(super) fn reads(
    payer: &Leg,
    arrived: DateTime<Utc>,
    rows: &WorkingSet,
    reads: &mut ReadSet,
) -> Result<(), StageError> {
    let account = (payer.account.clone(),);
    if rows.is_loaded::<AccountRow>(&account)
        && let Some(terms) = rows.get::<AccountRow>(&account)?.and_then(|row| row.terms())
        && terms.daily_limit_in(payer.amount.currency()).is_some()
    {
        reads.row::<DailyPaymentsRow>(&key(payer, arrived));
    }
    Ok(())
}

fn key(payer: &Leg, arrived: DateTime<Utc>) -> (AccountId, NaiveDate) {
    (payer.account.clone(), arrived.date_naive())
}

impl Posting<'_> {
    /// What the account has paid on this day. `None` if it has no daily limit in this currency.
    pub(super) fn paid_today(
        &self,
        terms: Option<&AccountTerms>,
        payer: &Leg,
    ) -> Result<Option<DailyPaymentsRow>, StageError> {
        let currency = payer.amount.currency();
        if terms.and_then(|terms| terms.daily_limit_in(currency)).is_none() {
            return Ok(None);
        }
        let key = key(payer, self.event.cause.time);
        let row = if self.is_loaded(&key) { self.rows.get::<DailyPaymentsRow>(&key)? } else { None };
        let (account, day) = key;
        Ok(Some(row.unwrap_or(DailyPaymentsRow { account, day, amount: Amount::zero(currency) })))
    }

    /// Adds a payment to those of its day.
    pub(super) fn add_to_day(&mut self, mut row: DailyPaymentsRow, payment: Money) -> Result<(), StageError> {
        row.amount += payment.amount();
        let is_loaded = self.is_loaded(&(row.account.clone(), row.day));
        if is_loaded { self.rows.put(&row) } else { self.rows.insert(&row) }
    }

    /// An account that was opened earlier in this batch has no payments yet, so none were loaded.
    fn is_loaded(&self, key: &(AccountId, NaiveDate)) -> bool {
        self.rows.is_loaded::<DailyPaymentsRow>(key)
    }
}
