//! The expected result of a purchase or a return, computed only with integers and the European Central Bank's history. It does not
//! use the rate book, the conversion or the rounding of the services.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use contracts::ReasonCode;
use exchange_rate::ecb::{self, EcbError, History};
use money::{Currency, Money};

use crate::outcome::ExpectedOutcome;
use crate::scaled::{PRICE_DECIMALS, RATE_DECIMALS, money_of, nearest, scaled};

/// The number of days after its own for which a rate may be used.
const SERVES_DAYS: i64 = 7;

/// The largest total of a purchase, in units of its currency.
const SUM_MAX: i128 = 1_000_000_000_000;

const ONE: i128 = 10_i128.pow(RATE_DECIMALS);

/// The history of the ECB's rates: units of each currency for one euro.
#[derive(Debug)]
pub struct Rates {
    // Invariant: oldest first.
    of: BTreeMap<Currency, Vec<(NaiveDate, i128)>>,
}

impl Rates {
    /// The history that is built into the program.
    ///
    /// # Errors
    /// [`EcbError`].
    pub fn built_in() -> Result<Self, EcbError> {
        Ok(Self::of(&ecb::parse(ecb::BUILT_IN, NaiveDate::MAX)?))
    }

    fn of(history: &History) -> Self {
        let mut of = BTreeMap::<Currency, Vec<_>>::new();
        for day in &history.days {
            for (currency, rate) in &day.rates {
                let Some(rate) = scaled(&rate.to_string(), RATE_DECIMALS) else {
                    unreachable!("a rate has at most {RATE_DECIMALS} decimals")
                };
                of.entry(*currency).or_default().push((day.date, rate));
            }
        }
        Self { of }
    }

    /// The expected result of a purchase or a return of `millionths` of a pound at a moment.
    pub fn expected_outcome(&self, millionths: i128, pay_in: Currency, at: DateTime<Utc>) -> ExpectedOutcome {
        self.settled(millionths, pay_in, at).unwrap_or_else(ExpectedOutcome::Rejected)
    }

    fn settled(&self, millionths: i128, pay_in: Currency, at: DateTime<Utc>) -> Result<ExpectedOutcome, ReasonCode> {
        if millionths > SUM_MAX * 10_i128.pow(PRICE_DECIMALS) {
            return Err(ReasonCode::AmountTooLarge);
        }
        let total = worth(millionths, ONE, ONE, Currency::GBP)?;
        if pay_in == Currency::GBP {
            return Ok(ExpectedOutcome::Settled { total, charged: total });
        }
        let day = at.date_naive();
        let (pound_day, pound) = self.as_of(Currency::GBP, day).ok_or(ReasonCode::NoRate)?;
        let (other_day, other) = self.as_of(pay_in, day).ok_or(ReasonCode::NoRate)?;
        if (day - pound_day.min(other_day)).num_days() > SERVES_DAYS {
            return Err(ReasonCode::StaleRate);
        }
        Ok(ExpectedOutcome::Settled { total, charged: worth(millionths, other, pound, pay_in)? })
    }

    /// The newest rate up to a day. The euro is always worth one euro.
    fn as_of(&self, currency: Currency, day: NaiveDate) -> Option<(NaiveDate, i128)> {
        if currency == Currency::EUR {
            return Some((day, ONE));
        }
        let days = self.of.get(&currency)?;
        let known = days.partition_point(|(published, _)| *published <= day);
        days.get(known.checked_sub(1)?).copied()
    }
}

/// `millionths` × `times` / `by`, rounded once to the minor unit.
fn worth(millionths: i128, times: i128, by: i128, currency: Currency) -> Result<Money, ReasonCode> {
    let minor = 10_i128.pow(currency.minor_units());
    let above = millionths.checked_mul(times).and_then(|product| product.checked_mul(minor));
    let below = by.checked_mul(10_i128.pow(PRICE_DECIMALS));
    let units = above.zip(below).and_then(|(above, below)| nearest(above, below));
    units.and_then(|units| money_of(units, currency).ok()).ok_or(ReasonCode::AmountTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_kind::RequestKind;

    fn check(pounds: &str, pay_in: &str, at: &str, expected: &str) {
        let rates = Rates::built_in().unwrap();
        let millionths = scaled(pounds, PRICE_DECIMALS).unwrap();
        let found = match rates.expected_outcome(millionths, pay_in.parse().unwrap(), at.parse().unwrap()) {
            ExpectedOutcome::Settled { total, charged } => format!("{total} = {charged}"),
            ExpectedOutcome::Rejected(code) => format!("{code:?}"),
        };
        assert_eq!(found, expected, "{pounds} GBP in {pay_in} at {at}");
    }

    #[test]
    fn the_total_is_converted_once_and_rounded_once() {
        // 2010-12-01: one euro is 0.8393 GBP, 110.37 JPY.
        check("139.12", "GBP", "2010-12-01T08:26:00Z", "139.12 GBP = 139.12 GBP");
        check("83.93", "EUR", "2010-12-01T08:26:00Z", "83.93 GBP = 100.00 EUR");
        check("83.93", "JPY", "2010-12-01T08:26:00Z", "83.93 GBP = 11037 JPY");
        check("0.005", "GBP", "2010-12-01T08:26:00Z", "0.00 GBP = 0.00 GBP");
        check("0.015", "GBP", "2010-12-01T08:26:00Z", "0.02 GBP = 0.02 GBP");
    }

    #[test]
    fn an_exact_tie_is_rounded_to_the_even_cent() {
        // 2010-12-03: one euro is 0.848 GBP, and 39.75 / 0.848 is 46.875.
        check("39.75", "EUR", "2010-12-03T12:00:00Z", "39.75 GBP = 46.88 EUR");
    }

    #[test]
    fn the_newest_rate_of_the_day_or_before_is_used() {
        // 2010-12-24 was the last day with rates before the 27th: a weekend has the rates of the Friday.
        let friday = Rates::built_in().unwrap().as_of(Currency::GBP, "2010-12-24".parse().unwrap());
        assert_eq!(Rates::built_in().unwrap().as_of(Currency::GBP, "2010-12-26".parse().unwrap()), friday);
        assert_eq!(friday.unwrap().0.to_string(), "2010-12-24");
    }

    #[test]
    fn a_rate_may_be_used_for_seven_days_and_not_before_its_own() {
        check("1.00", "ISK", "2011-02-01T12:00:00Z", "StaleRate");
        check("1.00", "KWD", "2011-02-01T12:00:00Z", "NoRate");
        check("1.00", "EUR", "1999-01-03T23:59:59Z", "NoRate");
        // The ECB's file ends with the rate of 2026-10-30: 0.8338.
        check("83.38", "EUR", "2026-11-06T23:59:59Z", "83.38 GBP = 100.00 EUR");
        check("83.38", "EUR", "2026-11-07T00:00:00Z", "StaleRate");
        check("83.38", "GBP", "2026-11-07T00:00:00Z", "83.38 GBP = 83.38 GBP");
    }

    #[test]
    fn an_amount_beyond_the_limit_is_too_large() {
        check("1000000000000.01", "GBP", "2010-12-01T08:26:00Z", "AmountTooLarge");
        check("1000000000000", "JPY", "2010-12-01T08:26:00Z", "AmountTooLarge");
    }

    #[test]
    fn a_payment_in_another_currency_has_four_legs() {
        let rates = Rates::built_in().unwrap();
        let legs = |pay_in| {
            let expected = rates.expected_outcome(83_930_000, pay_in, "2010-12-01T08:26:00Z".parse().unwrap());
            let legs = expected.legs(RequestKind::Purchase, &"17850".parse().unwrap());
            legs.iter().map(|leg| format!("{} {:?} {}", leg.account, leg.side, leg.amount)).collect::<Vec<_>>()
        };
        assert_eq!(legs(Currency::GBP), ["customer:17850 Debit 83.93 GBP", "merchant Credit 83.93 GBP"]);
        assert_eq!(
            legs(Currency::EUR),
            [
                "customer:17850 Debit 100.00 EUR",
                "merchant Credit 83.93 GBP",
                "fx Credit 100.00 EUR",
                "fx Debit 83.93 GBP"
            ]
        );
    }
}
