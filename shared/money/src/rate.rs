use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;

use crate::Invalid;
use crate::plain::Plain;
use crate::text::serde_as_text;

/// An exchange rate: units of one currency for one unit of another. Above zero, at most [`Rate::LIMIT`], with at most
/// [`Rate::MAX_SCALE`] decimals.
///
/// JSON represents a rate as a string without trailing zeros (`"1.1734"`), so equal rates have equal text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rate(
    // Invariant: above 0, at most LIMIT, at most MAX_SCALE decimals, normalised.
    Decimal,
);

impl Rate {
    /// The largest rate, 10^9.
    pub const LIMIT: i128 = 1_000_000_000;

    /// The maximum number of decimals.
    pub const MAX_SCALE: u32 = 10;

    pub(crate) const ONE: Self = Self(Decimal::ONE);

    /// All digits as a whole number: 1 to 10^19.
    pub(crate) fn mantissa(self) -> i128 {
        self.0.mantissa()
    }

    /// The number of digits after the point: 0 to 10.
    pub(crate) fn scale(self) -> u32 {
        self.0.scale()
    }
}

impl FromStr for Rate {
    type Err = Invalid;

    /// # Errors
    /// [`Invalid::NotADecimal`], [`Invalid::TooManyDigits`], [`Invalid::NotPositive`], [`Invalid::TooManyDecimals`],
    /// [`Invalid::TooLarge`].
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Plain(value) = text.parse()?;
        if value <= Decimal::ZERO {
            return Err(Invalid::NotPositive { value });
        }
        let normalised = value.normalize();
        if normalised.scale() > Self::MAX_SCALE {
            return Err(Invalid::TooManyDecimals { value, limit: Self::MAX_SCALE });
        }
        if value > Decimal::from(Self::LIMIT) {
            return Err(Invalid::TooLarge { value, limit: Self::LIMIT });
        }
        Ok(Self(normalised))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

serde_as_text!(Rate, "a rate as a string, such as \"1.1734\"");

#[cfg(test)]
mod tests {
    use super::Rate;

    fn check(text: &str, expected: Result<&str, &str>) {
        let rate = text.parse::<Rate>().map(|rate| rate.to_string()).map_err(|error| error.to_string());
        assert_eq!(rate.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn equal_rates_have_equal_text() {
        check("1.1734", Ok("1.1734"));
        check("1.17340000000000", Ok("1.1734"));
        check("136.0", Ok("136"));
        check("1000000000", Ok("1000000000"));
        check("0.0000000001", Ok("0.0000000001"));
        check("999999999.9999999999", Ok("999999999.9999999999"));
    }

    #[test]
    fn a_rate_outside_its_limits_is_refused() {
        check("0.00", Err("0.00 is not greater than zero"));
        check("-1.2", Err("-1.2 is not greater than zero"));
        check("1000000000.1", Err("1000000000.1 is larger than the limit 1000000000"));
        check("0.00000000001", Err("0.00000000001 has more than 10 decimals"));
        check("N/A", Err("`N/A` is not a plain decimal number such as 15.30"));
    }

    #[test]
    fn a_rate_is_a_string_in_json() {
        let rate: Rate = serde_json::from_str("\"0.8480\"").unwrap();
        assert_eq!(serde_json::to_string(&rate).unwrap(), "\"0.848\"");
        assert!(serde_json::from_str::<Rate>("0.848").is_err());
    }
}
