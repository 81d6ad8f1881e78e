use std::fmt;
use std::ops::Neg;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::plain::{Plain, Shape};
use crate::rounding::divide_round_half_even;
use crate::{Amount, Currency, Invalid, Percent};

/// A signed amount of money that can be paid, in JSON `{"amount":"15.30","currency":"GBP"}`. It is always written with
/// exactly the currency's minor units; `"15.3"` and `"15.300"` are parsed as the same value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub struct Money {
    // Invariant: exactly the currency's minor units as decimals, at most LIMIT on either side of zero.
    amount: Amount,
    currency: Currency,
}

impl Money {
    /// The largest magnitude, 10^12 units of the currency.
    pub const LIMIT: i128 = 1_000_000_000_000;

    /// Combines an amount and a currency.
    ///
    /// # Errors
    /// [`Invalid::FinerThanMinorUnit`], [`Invalid::TooLarge`].
    pub fn new(amount: Amount, currency: Currency) -> Result<Self, Invalid> {
        Self::from_decimal(amount.decimal(), currency)
    }

    /// Parses a plain decimal such as `15.30` or `-15.3`.
    ///
    /// # Errors
    /// [`Invalid::NotADecimal`], [`Invalid::TooManyDigits`], [`Invalid::FinerThanMinorUnit`], [`Invalid::TooLarge`].
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, Invalid> {
        let Plain(value) = amount.parse()?;
        Self::from_decimal(value, currency)
    }

    /// Zero in this currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { amount: Amount::zero(currency), currency }
    }

    /// The amount, with exactly the currency's minor units.
    #[must_use]
    pub fn amount(self) -> Amount {
        self.amount
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// A percentage of the money, which must not be negative, rounded to the minor unit, half to even.
    #[must_use]
    pub fn percent_round_half_even(self, percent: Percent) -> Self {
        let minor_units = self.minor_units() * i128::from(percent.get());
        let share = Self::from_minor_units(divide_round_half_even(minor_units, 100), self.currency);
        share.unwrap_or(self)
    }

    /// The difference. `None` when the currencies differ, or beyond [`Money::LIMIT`].
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        let is_same = self.currency == other.currency;
        is_same.then(|| Self::from_minor_units(self.minor_units() - other.minor_units(), self.currency))?
    }

    /// The count of the currency's smallest unit: 15.30 GBP is 1530.
    fn minor_units(self) -> i128 {
        self.amount.decimal().mantissa()
    }

    /// Money from a count of the currency's smallest unit: 1530 is 15.30 GBP. `None` beyond [`Money::LIMIT`].
    pub(crate) fn from_minor_units(minor_units: i128, currency: Currency) -> Option<Self> {
        let scale = currency.minor_units();
        let within = minor_units.abs() <= Self::LIMIT * 10_i128.pow(scale);
        within.then(|| Self::from_decimal(Decimal::from_i128_with_scale(minor_units, scale), currency).ok())?
    }

    fn from_decimal(value: Decimal, currency: Currency) -> Result<Self, Invalid> {
        if value.normalize().scale() > currency.minor_units() {
            return Err(Invalid::FinerThanMinorUnit { value, currency });
        }
        if value.abs() > Decimal::from(Self::LIMIT) {
            return Err(Invalid::TooLarge { value, limit: Self::LIMIT });
        }
        let amount = Amount::new(value.normalize())?.shown_in(currency)?;
        Ok(Self { amount, currency })
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        Self { amount: -self.amount, ..self }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.amount, self.currency)
    }
}

impl TryFrom<Shape> for Money {
    type Error = Invalid;

    fn try_from(shape: Shape) -> Result<Self, Invalid> {
        Self::from_decimal(shape.amount.0, shape.currency)
    }
}

impl From<Money> for Shape {
    fn from(money: Money) -> Self {
        Self { amount: Plain(money.amount.decimal()), currency: money.currency }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Money, Percent};
    use crate::{Amount, Currency};

    fn check(json: &str, expected: Result<&str, &str>) {
        let read = serde_json::from_str::<Money>(json).map_err(|error| error.to_string());
        match (read, expected) {
            (Ok(money), Ok(written)) => assert_eq!(serde_json::to_string(&money).unwrap(), written),
            (Err(error), Err(part)) => assert!(error.contains(part), "{json}: {error}"),
            (read, expected) => panic!("{json}: expected {expected:?}, found {read:?}"),
        }
    }

    #[test]
    fn a_percentage_is_rounded_to_the_minor_unit() {
        let percent = |money: Money, percent: u16| money.percent_round_half_even(Percent::new(percent).unwrap());
        let gbp = |text: &str| Money::parse(text, Currency::GBP).unwrap();
        assert_eq!([percent(gbp("0.25"), 10), percent(gbp("0.35"), 10)], [gbp("0.02"), gbp("0.04")]);
        assert_eq!(percent(gbp("1000000000000"), 100), gbp("1000000000000"));
        assert_eq!(gbp("0.30").minus(gbp("0.10")), Some(gbp("0.20")));
        assert_eq!(gbp("0.30").minus(Money::zero(Currency::EUR)), None);
    }

    #[test]
    fn money_is_written_with_exactly_the_minor_units() {
        check(r#"{"amount":"15.3","currency":"GBP"}"#, Ok(r#"{"amount":"15.30","currency":"GBP"}"#));
        check(r#"{"currency":"GBP","amount":"15.3000000"}"#, Ok(r#"{"amount":"15.30","currency":"GBP"}"#));
        check(r#"{"amount":"-0","currency":"EUR"}"#, Ok(r#"{"amount":"0.00","currency":"EUR"}"#));
        check(r#"{"amount":"15","currency":"JPY"}"#, Ok(r#"{"amount":"15","currency":"JPY"}"#));
        check(r#"{"amount":"15.0","currency":"JPY"}"#, Ok(r#"{"amount":"15","currency":"JPY"}"#));
        check(r#"{"amount":"-1.5","currency":"KWD"}"#, Ok(r#"{"amount":"-1.500","currency":"KWD"}"#));
        check(
            r#"{"amount":"-1000000000000","currency":"CLF"}"#,
            Ok(r#"{"amount":"-1000000000000.0000","currency":"CLF"}"#),
        );
    }

    #[test]
    fn a_refusal_names_the_value_and_its_limit() {
        let refused = [
            (r#"{"amount":"15.305","currency":"GBP"}"#, "15.305 is finer than the minor unit of GBP (2 decimals)"),
            (r#"{"amount":"0.5","currency":"JPY"}"#, "0.5 is finer than the minor unit of JPY (0 decimals)"),
            (r#"{"amount":"1.0001","currency":"KWD"}"#, "1.0001 is finer than the minor unit of KWD (3 decimals)"),
            (
                r#"{"amount":"1000000000000.01","currency":"GBP"}"#,
                "1000000000000.01 is larger than the limit 1000000000000",
            ),
            (
                r#"{"amount":"-1000000000001","currency":"JPY"}"#,
                "-1000000000001 is larger than the limit 1000000000000",
            ),
            (r#"{"amount":"1e3","currency":"GBP"}"#, "`1e3` is not a plain decimal number such as 15.30"),
            (r#"{"amount":"15.30","currency":"XXX"}"#, "`XXX` is not an ISO 4217 currency"),
        ];
        for (json, error) in refused {
            check(json, Err(error));
        }
    }

    #[test]
    fn json_of_another_shape_is_refused() {
        check(r#"{"amount":15.30,"currency":"GBP"}"#, Err("expected a decimal number as a string"));
        check(r#"{"amount":"15.30","currency":"GBP","vat":"1"}"#, Err("unknown field `vat`"));
        check(r#"{"amount":"15.30"}"#, Err("missing field `currency`"));
        check(r#"{"amount":"1","amount":"2","currency":"GBP"}"#, Err("duplicate field `amount`"));
    }

    #[test]
    fn money_is_an_amount_in_a_currency() {
        let money = Money::parse("15.3", Currency::GBP).unwrap();
        assert_eq!(money.to_string(), "15.30 GBP");
        assert_eq!((-money).amount().to_string(), "-15.30");
        assert_eq!(Money::new(money.amount(), money.currency()), Ok(money));
        assert_eq!(Money::zero(Currency::KWD).amount().to_string(), "0.000");
        assert!(Money::new("0.001".parse::<Amount>().unwrap(), Currency::GBP).is_err());
        assert_eq!(Money::from_minor_units(1530, Currency::GBP), Some(money));
        assert_eq!(Money::from_minor_units(i128::MAX, Currency::GBP), None);
    }

    proptest! {
        #[test]
        fn written_money_is_read_back_unchanged(
            minor_units in -1_000_000_000_000_i128..=1_000_000_000_000,
            currency in prop::sample::select(vec![Currency::JPY, Currency::EUR, Currency::KWD]),
        ) {
            let money = Money::from_minor_units(minor_units, currency).unwrap();
            let json = serde_json::to_string(&money).unwrap();
            let read: Money = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, money);
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), json);
            prop_assert_eq!(Money::parse(&money.amount().to_string(), currency), Ok(money));
        }
    }
}
