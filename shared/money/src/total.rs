use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::plain::{Plain, Shape, normal_form};
use crate::rounding::divide_round_half_even;
use crate::{Currency, Invalid, Money, Quantity, UnitPrice};

/// The exact, unrounded total of a purchase's lines in one currency: zero to [`Total::LIMIT`], at most six decimals.
///
/// In JSON `{"amount":"46.875","currency":"GBP"}`, with the same number format as [`UnitPrice`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub struct Total {
    // Invariant: 0 to LIMIT, in millionths of the currency.
    millionths: i128,
    currency: Currency,
}

const SCALE: u32 = UnitPrice::MAX_SCALE;

impl Total {
    /// The largest total, 10^12 units of the currency: equal to [`Money::LIMIT`].
    pub const LIMIT: i128 = Money::LIMIT;

    /// An empty total in this currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { millionths: 0, currency }
    }

    /// Adds `quantity` × `unit_price` exactly. On an error the total stays unchanged.
    ///
    /// # Errors
    /// [`Invalid::OtherCurrency`], [`Invalid::TotalTooLarge`].
    pub fn add_line(&mut self, quantity: Quantity, unit_price: UnitPrice) -> Result<(), Invalid> {
        if unit_price.currency() != self.currency {
            return Err(Invalid::OtherCurrency { expected: self.currency, found: unit_price.currency() });
        }
        self.add_millionths(i128::from(quantity.get()) * unit_price.millionths())
    }

    /// Adds an amount that is not negative, in millionths of the currency. On an error the total stays unchanged.
    pub(crate) fn add_millionths(&mut self, millionths: i128) -> Result<(), Invalid> {
        let millionths = self.millionths + millionths;
        if millionths > Self::LIMIT * 10_i128.pow(SCALE) {
            return Err(Invalid::TotalTooLarge { limit: Self::LIMIT });
        }
        self.millionths = millionths;
        Ok(())
    }

    /// The currency of the total.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whether the total is zero: all lines are free.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.millionths == 0
    }

    /// The total rounded to the minor unit of its own currency, half to even.
    #[must_use]
    pub fn round_half_even(self) -> Money {
        let unit = 10_i128.pow(SCALE - self.currency.minor_units());
        let rounded = Money::from_minor_units(divide_round_half_even(self.millionths, unit), self.currency);
        let Some(money) = rounded else {
            unreachable!("the limit of a total is the limit of money, which is a whole number")
        };
        money
    }

    /// The exact total in millionths of the currency: 0 to 10^18.
    pub(crate) fn millionths(self) -> i128 {
        self.millionths
    }

    fn decimal(self) -> Decimal {
        normal_form(Decimal::from_i128_with_scale(self.millionths, SCALE), self.currency)
    }
}

impl TryFrom<Shape> for Total {
    type Error = Invalid;

    fn try_from(shape: Shape) -> Result<Self, Invalid> {
        let Shape { amount: Plain(value), currency } = shape;
        if value < Decimal::ZERO {
            return Err(Invalid::Negative { value });
        }
        let normalised = value.normalize();
        if normalised.scale() > SCALE {
            return Err(Invalid::TooManyDecimals { value, limit: SCALE });
        }
        if value > Decimal::from(Self::LIMIT) {
            return Err(Invalid::TooLarge { value, limit: Self::LIMIT });
        }
        Ok(Self { millionths: normalised.mantissa() * 10_i128.pow(SCALE - normalised.scale()), currency })
    }
}

impl From<Total> for Shape {
    fn from(total: Total) -> Self {
        Self { amount: Plain(total.decimal()), currency: total.currency }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::Total;
    use crate::{Currency, Invalid, Quantity, UnitPrice};

    fn add(total: &mut Total, quantity: i64, price: &str, currency: Currency) -> Result<(), Invalid> {
        total.add_line(Quantity::new(quantity).unwrap(), UnitPrice::parse(price, currency).unwrap())
    }

    fn check(currency: Currency, lines: &[(i64, &str)], exact: &str, rounded: &str) {
        let mut total = Total::zero(currency);
        for (quantity, price) in lines {
            add(&mut total, *quantity, price, currency).unwrap();
        }
        assert_eq!(total.to_string(), format!("{exact} {currency}"));
        assert_eq!(total.round_half_even().to_string(), format!("{rounded} {currency}"));
    }

    #[test]
    fn lines_are_summed_exactly_and_rounded_once() {
        check(Currency::GBP, &[], "0.00", "0.00");
        check(Currency::GBP, &[(6, "2.55"), (8, "2.75")], "37.30", "37.30");
        check(Currency::GBP, &[(1, "0.004"), (1, "0.004")], "0.008", "0.01");
        check(Currency::GBP, &[(1_000_000, "0.000001")], "1.00", "1.00");
        check(Currency::GBP, &[(1000, "1000000000")], "1000000000000.00", "1000000000000.00");
    }

    #[test]
    fn a_tie_goes_to_the_even_minor_unit_of_its_currency() {
        check(Currency::GBP, &[(1, "0.125")], "0.125", "0.12");
        check(Currency::GBP, &[(1, "0.135")], "0.135", "0.14");
        check(Currency::GBP, &[(1, "0.125001")], "0.125001", "0.13");
        check(Currency::JPY, &[(1, "2.5")], "2.5", "2");
        check(Currency::JPY, &[(1, "3.5")], "3.5", "4");
        check(Currency::KWD, &[(1, "0.0125")], "0.0125", "0.012");
        check(Currency::KWD, &[(1, "0.0135")], "0.0135", "0.014");
        check(Currency::try_from("CLF").unwrap(), &[(1, "0.00125")], "0.00125", "0.0012");
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_and_the_total_stays_unchanged() {
        let mut total = Total::zero(Currency::EUR);
        add(&mut total, 1000, "999999999.999999", Currency::EUR).unwrap();
        let before = total;
        let error = add(&mut total, 1_000_000, "1000000000", Currency::EUR).unwrap_err();
        assert_eq!(error.to_string(), "the lines add up to more than the limit 1000000000000");
        assert_eq!(total, before);
        add(&mut total, 1, "0.001", Currency::EUR).unwrap();
        assert!(add(&mut total, 1, "0.000001", Currency::EUR).is_err());
    }

    #[test]
    fn a_line_in_another_currency_is_refused() {
        let error = add(&mut Total::zero(Currency::GBP), 1, "1", Currency::EUR).unwrap_err();
        assert_eq!(error.to_string(), "expected GBP, found EUR");
    }

    #[test]
    fn a_total_has_the_json_shape_of_money() {
        let json = r#"{"amount":"46.875","currency":"EUR"}"#;
        let total: Total = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&total).unwrap(), json);
        for refused in ["-1", "0.0000001", "1000000000000.000001"] {
            assert!(serde_json::from_str::<Total>(&json.replace("46.875", refused)).is_err(), "{refused}");
        }
    }
}
