use std::fmt;

use rust_decimal::Decimal;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Invalid;

/// A number of pieces: a whole number from 1 to [`Quantity::LIMIT`]. JSON represents it as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Quantity(
    // Invariant: 1 to LIMIT.
    u32,
);

impl Quantity {
    /// The most pieces on one line: one million.
    pub const LIMIT: u32 = 1_000_000;

    /// Converts any integer.
    ///
    /// # Errors
    /// [`Invalid::NotPositive`], [`Invalid::TooLarge`].
    pub fn new(pieces: impl Into<i128>) -> Result<Self, Invalid> {
        let pieces = pieces.into();
        let value = Decimal::try_from_i128_with_scale(pieces, 0).unwrap_or(Decimal::MAX);
        if pieces < 1 {
            return Err(Invalid::NotPositive { value });
        }
        let within = u32::try_from(pieces).ok().filter(|pieces| *pieces <= Self::LIMIT);
        within.map(Self).ok_or(Invalid::TooLarge { value, limit: i128::from(Self::LIMIT) })
    }

    /// The number of pieces, 1 to [`Quantity::LIMIT`].
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

struct WholeNumber;

/// 2⁶³. `serde_json` parses integers outside the ranges of `i64` and `u64` as floats; this is the smaller of the two
/// limits. Every float of this magnitude or more is a whole number.
const BEYOND_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

impl Visitor<'_> for WholeNumber {
    type Value = Quantity;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a whole number from 1 to {}", Quantity::LIMIT)
    }

    fn visit_u64<E: Error>(self, pieces: u64) -> Result<Quantity, E> {
        Quantity::new(pieces).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, pieces: i64) -> Result<Quantity, E> {
        Quantity::new(pieces).map_err(E::custom)
    }

    /// `serde_json` parses an integer with too many digits as a float, and also -0. Both are integers in JSON, so the
    /// error is about their value and not about their type.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Quantity, E> {
        let is_minus_zero = number == 0.0 && number.is_sign_negative();
        if !is_minus_zero && (number.fract() != 0.0 || number.abs() < BEYOND_INTEGERS) {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        let failed_check = if number.is_sign_negative() { "greater than zero" } else { "within the limit" };
        Err(E::custom(format_args!("not {failed_check}: use a whole number from 1 to {}", Quantity::LIMIT)))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    fn check(json: &str, expected: Result<u32, &str>) {
        let read = serde_json::from_str::<Quantity>(json).map_err(|error| error.to_string());
        match (read, expected) {
            (Ok(quantity), Ok(pieces)) => {
                assert_eq!(quantity.get(), pieces);
                assert_eq!(serde_json::to_string(&quantity).unwrap(), json);
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{json}: {error}"),
            (read, expected) => panic!("{json}: expected {expected:?}, found {read:?}"),
        }
    }

    #[test]
    fn a_quantity_is_a_whole_number_from_one_to_a_million() {
        check("1", Ok(1));
        check("1000000", Ok(1_000_000));
        check("0", Err("0 is not greater than zero"));
        check("-6", Err("-6 is not greater than zero"));
        check("1000001", Err("1000001 is larger than the limit 1000000"));
        check("18446744073709551615", Err("18446744073709551615 is larger than the limit 1000000"));
        check("99999999999999999999", Err("not within the limit: use a whole number from 1 to 1000000"));
        check("-99999999999999999999", Err("not greater than zero: use a whole number from 1 to 1000000"));
        check("-0", Err("not greater than zero: use a whole number from 1 to 1000000"));
        check("1e300", Err("not within the limit"));
    }

    #[test]
    fn anything_but_a_json_integer_is_refused() {
        for json in ["1.0", "1.5", "\"6\"", "null", "true", "1e2", "-0.5"] {
            check(json, Err("expected a whole number from 1 to 1000000"));
        }
    }
}
