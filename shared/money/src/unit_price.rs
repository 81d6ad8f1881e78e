use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::plain::{Plain, Shape, normal_form};
use crate::{Currency, Invalid};

/// The price of one piece: zero to [`UnitPrice::LIMIT`], with at most [`UnitPrice::MAX_SCALE`] decimals. In JSON
/// `{"amount":"0.001","currency":"GBP"}`. It may be finer than the minor unit, since only the total of a purchase is
/// paid.
///
/// Equal prices have equal text: at least the currency's minor units, and more decimals only if the value needs them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub struct UnitPrice {
    // Invariant: 0 to LIMIT, at most MAX_SCALE decimals, in normal form.
    amount: Decimal,
    currency: Currency,
}

impl UnitPrice {
    /// The largest price, 10^9 units of the currency.
    pub const LIMIT: i128 = 1_000_000_000;

    /// The maximum number of decimals.
    pub const MAX_SCALE: u32 = 6;

    /// Parses a plain decimal such as `15.30` or `0.001`.
    ///
    /// # Errors
    /// [`Invalid::NotADecimal`], [`Invalid::TooManyDigits`], [`Invalid::TooManyDecimals`], [`Invalid::Negative`],
    /// [`Invalid::TooLarge`].
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, Invalid> {
        Self::try_from(Shape { amount: amount.parse()?, currency })
    }

    /// The currency of the price.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whether the price is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.amount.is_zero()
    }

    /// The exact price in millionths of the currency: 0 to 10^15.
    pub(crate) fn millionths(self) -> i128 {
        self.amount.mantissa() * 10_i128.pow(Self::MAX_SCALE - self.amount.scale())
    }
}

impl TryFrom<Shape> for UnitPrice {
    type Error = Invalid;

    fn try_from(shape: Shape) -> Result<Self, Invalid> {
        let Shape { amount: Plain(value), currency } = shape;
        if value < Decimal::ZERO {
            return Err(Invalid::Negative { value });
        }
        if value.normalize().scale() > Self::MAX_SCALE {
            return Err(Invalid::TooManyDecimals { value, limit: Self::MAX_SCALE });
        }
        if value > Decimal::from(Self::LIMIT) {
            return Err(Invalid::TooLarge { value, limit: Self::LIMIT });
        }
        Ok(Self { amount: normal_form(value, currency), currency })
    }
}

impl From<UnitPrice> for Shape {
    fn from(price: UnitPrice) -> Self {
        Self { amount: Plain(price.amount), currency: price.currency }
    }
}

impl fmt::Display for UnitPrice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::UnitPrice;
    use crate::Currency;

    fn check(amount: &str, currency: Currency, expected: Result<&str, &str>) {
        let price = UnitPrice::parse(amount, currency).map_err(|error| error.to_string());
        assert_eq!(price.map(|price| price.to_string()).as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn equal_prices_have_equal_text() {
        check("3", Currency::GBP, Ok("3.00 GBP"));
        check("3.0000000000", Currency::GBP, Ok("3.00 GBP"));
        check("0.0010", Currency::GBP, Ok("0.001 GBP"));
        check("0.000001", Currency::GBP, Ok("0.000001 GBP"));
        check("1.50", Currency::JPY, Ok("1.5 JPY"));
        check("200", Currency::JPY, Ok("200 JPY"));
        check("0", Currency::KWD, Ok("0.000 KWD"));
        check("1000000000.000000", Currency::EUR, Ok("1000000000.00 EUR"));
    }

    #[test]
    fn a_price_outside_its_limits_is_refused() {
        check("-0.01", Currency::GBP, Err("-0.01 is negative"));
        check("0.0000001", Currency::GBP, Err("0.0000001 has more than 6 decimals"));
        check("1000000000.01", Currency::GBP, Err("1000000000.01 is larger than the limit 1000000000"));
        check("free", Currency::GBP, Err("`free` is not a plain decimal number such as 15.30"));
    }

    #[test]
    fn a_price_has_the_json_shape_of_money() {
        let price: UnitPrice = serde_json::from_str(r#"{"amount":"0.00100","currency":"GBP"}"#).unwrap();
        assert_eq!(serde_json::to_string(&price).unwrap(), r#"{"amount":"0.001","currency":"GBP"}"#);
        assert!(serde_json::from_str::<UnitPrice>(r#"{"amount":"1","currency":"GBP","per":"kg"}"#).is_err());
        assert!(serde_json::from_str::<UnitPrice>(r#"{"amount":1,"currency":"GBP"}"#).is_err());
    }

    #[test]
    fn millionths_are_exact() {
        assert_eq!(UnitPrice::parse("0.001", Currency::GBP).unwrap().millionths(), 1000);
        assert_eq!(UnitPrice::parse("1000000000", Currency::JPY).unwrap().millionths(), 1_000_000_000_000_000);
    }
}
