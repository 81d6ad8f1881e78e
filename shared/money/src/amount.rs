use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use rust_decimal::Decimal;

use crate::plain::{Plain, with_scale};
use crate::text::serde_as_text;
use crate::{Currency, Invalid};

/// A signed amount without its currency, which the context provides: a balance, a limit, a value in a map keyed by
/// currency. JSON represents it as a plain decimal string (`"-12.30"`). Amounts compare by value: `1.5` equals `1.50`.
///
/// A sum has as many decimals as its most precise operand. A balance that starts as [`Amount::zero`] and adds only
/// amounts of [`Money`](crate::Money) therefore always has exactly the currency's minor units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(
    // Invariant: at most LIMIT on either side of zero, at most MAX_SCALE decimals, never a negative zero.
    Decimal,
);

impl Amount {
    /// The largest magnitude, 10^23. With four decimals it has 28 digits, the most that are always exact.
    pub const LIMIT: i128 = 100_000_000_000_000_000_000_000;

    /// The largest magnitude of a running total, 10^20. The sum of a thousand such totals is within [`Amount::LIMIT`].
    pub const TOTAL_LIMIT: i128 = 100_000_000_000_000_000_000;

    /// The maximum number of decimals, which is that of the most precise ISO 4217 currencies (CLF, UYW).
    pub const MAX_SCALE: u32 = 4;

    /// Zero with the currency's minor units: `0.00` for EUR, `0` for JPY.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self(Decimal::new(0, currency.minor_units()))
    }

    /// The same amount with exactly the minor units of `currency`.
    ///
    /// # Errors
    /// [`Invalid::FinerThanMinorUnit`] when the amount needs more decimals.
    pub fn shown_in(self, currency: Currency) -> Result<Self, Invalid> {
        if self.0.normalize().scale() > currency.minor_units() {
            return Err(Invalid::FinerThanMinorUnit { value: self.0, currency });
        }
        Ok(Self(with_scale(self.0, currency.minor_units())))
    }

    /// Whether the amount is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < Decimal::ZERO
    }

    /// Whether the amount is above zero.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.0 > Decimal::ZERO
    }

    /// Whether the magnitude is at most [`Amount::TOTAL_LIMIT`].
    #[must_use]
    pub fn is_fit_for_a_total(self) -> bool {
        self.0.mantissa().abs() <= Self::TOTAL_LIMIT * 10_i128.pow(self.0.scale())
    }

    pub(crate) fn new(value: Decimal) -> Result<Self, Invalid> {
        if value.scale() > Self::MAX_SCALE {
            return Err(Invalid::TooManyDecimals { value, limit: Self::MAX_SCALE });
        }
        if value.mantissa().abs() > Self::LIMIT * 10_i128.pow(value.scale()) {
            return Err(Invalid::TooLarge { value, limit: Self::LIMIT });
        }
        Ok(Self(value))
    }

    pub(crate) fn decimal(self) -> Decimal {
        self.0
    }

    // Within the limits the sum of two decimals is exact. The scale is set again because adding zero drops it.
    fn exact(value: Decimal, scale: u32) -> Self {
        let amount = Self::new(with_scale(value, scale));
        assert!(amount.is_ok(), "the amount {value} exceeds its limits");
        Self(with_scale(value, scale))
    }
}

impl Add for Amount {
    type Output = Self;

    /// # Panics
    /// When the sum is beyond [`Amount::LIMIT`], which is 10^11 times [`Money::LIMIT`](crate::Money::LIMIT).
    fn add(self, other: Self) -> Self {
        Self::exact(self.0 + other.0, self.0.scale().max(other.0.scale()))
    }
}

impl Sub for Amount {
    type Output = Self;

    /// # Panics
    /// When the difference is beyond [`Amount::LIMIT`].
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        if self.is_zero() { self } else { Self(-self.0) }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl FromStr for Amount {
    type Err = Invalid;

    /// # Errors
    /// [`Invalid::NotADecimal`], [`Invalid::TooManyDigits`], [`Invalid::TooManyDecimals`], [`Invalid::TooLarge`].
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Plain(value) = text.parse()?;
        Self::new(value)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

serde_as_text!(Amount, "an amount as a string, such as \"15.30\"");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Amount;
    use crate::Currency;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn check(shown: Amount, expected: &str) {
        assert_eq!(shown.to_string(), expected);
    }

    #[test]
    fn a_balance_is_always_written_with_the_minor_units_of_its_currency() {
        check(Amount::zero(Currency::GBP), "0.00");
        check(Amount::zero(Currency::JPY), "0");
        check(Amount::zero(Currency::KWD) + amount("1.500"), "1.500");
        check(Amount::zero(Currency::GBP) - amount("15.30"), "-15.30");
        check(amount("15.30") - amount("15.30"), "0.00");
        check(amount("0") + amount("1.50"), "1.50");
        check(amount("1.50") + amount("0"), "1.50");
        check(amount("5") + amount("0.00"), "5.00");
        check(amount("7").shown_in(Currency::EUR).unwrap(), "7.00");
        check(amount("7.000").shown_in(Currency::JPY).unwrap(), "7");
    }

    #[test]
    fn zero_has_no_sign() {
        check(-Amount::zero(Currency::GBP), "0.00");
        check(Amount::zero(Currency::GBP) - Amount::zero(Currency::GBP), "0.00");
        check(-amount("1.00") + amount("1.00"), "0.00");
        assert!(!amount("-0.00").is_negative());
    }

    #[test]
    fn amounts_compare_by_value() {
        assert_eq!(amount("1.5"), amount("1.50"));
        assert!(amount("-100.01") < -amount("100.00"));
        assert!(amount("0.01").is_positive() && !amount("0").is_positive());
    }

    #[test]
    fn an_amount_finer_than_the_minor_unit_is_not_shown_in_it() {
        let error = amount("7.5").shown_in(Currency::JPY).unwrap_err();
        assert_eq!(error.to_string(), "7.5 is finer than the minor unit of JPY (0 decimals)");
    }

    #[test]
    fn an_amount_at_its_limit_is_accepted_and_one_beyond_it_is_refused() {
        check(amount("-100000000000000000000000.0000"), "-100000000000000000000000.0000");
        let refused = |text: &str| text.parse::<Amount>().unwrap_err().to_string();
        assert_eq!(
            refused("100000000000000000000000.0001"),
            "100000000000000000000000.0001 is larger than the limit 100000000000000000000000"
        );
        assert_eq!(refused("0.00001"), "0.00001 has more than 4 decimals");
        assert_eq!(refused("1e3"), "`1e3` is not a plain decimal number such as 15.30");
    }

    #[test]
    #[should_panic(expected = "exceeds its limits")]
    fn a_sum_beyond_the_limit_panics_instead_of_rounding() {
        let _ = amount("100000000000000000000000") + amount("0.0001");
    }

    #[test]
    fn a_thousand_totals_at_their_limit_add_up_within_the_limit_of_amounts() {
        let largest = amount("100000000000000000000");
        assert!(largest.is_fit_for_a_total() && (-largest).is_fit_for_a_total());
        assert!(!(largest + amount("0.0001")).is_fit_for_a_total());
        let sum = (0..1000).fold(amount("0.0000"), |sum, _| sum + largest);
        assert_eq!(sum.to_string(), "100000000000000000000000.0000");
    }

    proptest! {
        #[test]
        fn addition_is_exact_for_any_number_of_decimals(
            left in -1_000_000_000_000_000_000_000_000_i128..=1_000_000_000_000_000_000_000_000,
            right in -1_000_000_000_000_i128..=1_000_000_000_000,
            right_scale in 0..=4_u32,
        ) {
            let written = |units: i128, scale: u32| amount(&rust_decimal::Decimal::from_i128_with_scale(units, scale).to_string());
            let (a, b) = (written(left / 2, 4), written(right, right_scale));
            let units = left / 2 + right * 10_i128.pow(4 - right_scale);
            prop_assert_eq!((a + b).to_string(), written(units, 4).to_string());
            prop_assert_eq!((a + b - b).to_string(), a.to_string());
            prop_assert_eq!(-(-b), b);
        }

        #[test]
        fn a_written_amount_is_read_back_unchanged(units in -1_000_000_000_000_000_i128..=1_000_000_000_000_000, scale in 0..=4_u32) {
            let written = rust_decimal::Decimal::from_i128_with_scale(units, scale).to_string();
            let json = serde_json::to_string(&amount(&written)).unwrap();
            prop_assert_eq!(&json, &format!("\"{written}\""));
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap().to_string(), written);
        }
    }
}
