use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::invalid::shortened;
use crate::text::serde_as_text;
use crate::{Currency, Invalid};

/// The most digits of a number. 96 bits always hold them, so parsing never rounds.
const DIGITS: usize = 28;

/// A plain decimal: digits with an optional leading `-` and an optional `.` between digits. No `+`, exponent or space.
pub(crate) struct Plain(pub(crate) Decimal);

serde_as_text!(Plain, "a decimal number as a string, such as \"15.30\"");

impl FromStr for Plain {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let only_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !only_digits(whole) || !only_digits(fraction) {
            return Err(Invalid::NotADecimal { text: shortened(text) });
        }
        let written = digits.bytes().filter(u8::is_ascii_digit);
        if written.clone().count() > DIGITS {
            return Err(Invalid::TooManyDigits { text: shortened(text), limit: DIGITS });
        }
        let magnitude = written.fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'));
        let mantissa = if text.starts_with('-') { -magnitude } else { magnitude };
        let scale = digits.bytes().rev().position(|byte| byte == b'.').unwrap_or(0);
        // This cannot panic: `magnitude` is below 10^28 and at most 28 digits follow the point. An `i128` has no
        // negative zero, so the result has none either.
        Ok(Self(Decimal::from_i128_with_scale(mantissa, u32::try_from(scale).unwrap_or(u32::MAX))))
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The JSON shape of all types that combine a number and a currency: `{"amount":"15.30","currency":"GBP"}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(crate) struct Shape {
    pub(crate) amount: Plain,
    pub(crate) currency: Currency,
}

crate::object!(Shape, "an object with amount and currency");

/// The same number with exactly `scale` decimals.
pub(crate) fn with_scale(value: Decimal, scale: u32) -> Decimal {
    let mut scaled = value;
    scaled.rescale(scale);
    assert!(scaled.scale() == scale && scaled == value, "{value} cannot be written with {scale} decimals exactly");
    scaled
}

/// The same number without trailing zeros but with at least the minor units of `currency`. Equal numbers have equal
/// normal forms.
pub(crate) fn normal_form(value: Decimal, currency: Currency) -> Decimal {
    let shortest = value.normalize();
    with_scale(shortest, shortest.scale().max(currency.minor_units()))
}

#[cfg(test)]
mod tests {
    use super::Plain;

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = text.parse::<Plain>().map(|plain| plain.to_string()).map_err(|error| error.to_string());
        assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text:?}");
    }

    #[test]
    fn a_plain_number_is_read_as_written() {
        for text in ["0", "0.00", "15.30", "-15.3", "0.000000000000000000000000001", "9999999999999999999999999999"] {
            check(text, Ok(text));
        }
    }

    #[test]
    fn there_is_no_negative_zero() {
        check("-0", Ok("0"));
        check("-0.00", Ok("0.00"));
    }

    #[test]
    fn leading_zeros_are_dropped() {
        check("007.50", Ok("7.50"));
    }

    #[test]
    fn anything_but_plain_digits_is_refused() {
        let refused = [
            "", "-", ".", ".5", "5.", "--5", "+5", "1e3", "1.2.3", " 1", "1 ", "1,5", "0x1", "1_000", "٣", "NaN", "-.5",
        ];
        for text in refused {
            check(text, Err(&format!("`{text}` is not a plain decimal number such as 15.30")));
        }
    }

    #[test]
    fn more_digits_than_a_decimal_holds_are_refused_rather_than_rounded() {
        check("10000000000000000000000000000", Err("`10000000000000000000000000000` has more than 28 digits"));
        check("1.0000000000000000000000000000", Err("`1.0000000000000000000000000000` has more than 28 digits"));
    }
}
