use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use rust_decimal::Decimal;

use crate::plain::{Plain, with_scale};
use crate::text::serde_as_text;
use crate::{Currency, Invalid};

/// A signed sum in a currency that stands elsewhere: a balance, a limit, a value in a map keyed by currency.
/// Written as a plain decimal (`"-12.30"`); compared by value, so `1.5` equals `1.50`.
///
/// A sum of amounts has the decimals of its finest part. Balances that begin as [`Amount::zero`] and take only the
/// amounts of [`Money`](crate::Money) are therefore always written with exactly the currency's minor units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(
    // Invariant: at most LIMIT on either side of zero, at most MAX_SCALE decimals, never a negative zero.
    Decimal,
);

impl Amount {
    /// The largest magnitude, 10^23. With four decimals that is 28 digits, as many as are exact.
    pub const LIMIT: i128 = 100_000_000_000_000_000_000_000;

    /// What a running total may come to, 10^20: a thousand of them, added up, are still within [`Amount::LIMIT`].
    pub const TOTAL_LIMIT: i128 = 100_000_000_000_000_000_000;

    /// The most decimals, those of the finest currencies of ISO 4217 (CLF, UYW).
    pub const MAX_SCALE: u32 = 4;

    /// Nothing, written with the currency's minor units: `0.00` for EUR, `0` for JPY.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self(Decimal::new(0, currency.minor_units()))
    }

    /// The same amount, written with exactly the minor units of `currency`.
    ///
    /// # Errors
    /// [`Invalid::FinerThanMinorUnit`].
    pub fn shown_in(self, currency: Currency) -> Result<Self, Invalid> {
        if self.0.normalize().scale() > currency.minor_units() {
            return Err(Invalid::FinerThanMinorUnit { value: self.0, currency });
        }
        Ok(Self(with_scale(self.0, currency.minor_units())))
    }

    /// Neither above nor below zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < Decimal::ZERO
    }

    /// Above zero.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.0 > Decimal::ZERO
    }

    /// Not further from zero than [`Amount::TOTAL_LIMIT`].
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
        assert!(amount.is_ok(), "an amount left its limits: {value}");
        Self(with_scale(value, scale))
    }
}

impl Add for Amount {
    type Output = Self;

    /// # Panics
    /// When the sum is beyond [`Amount::LIMIT`]: 10^11 of the largest sums of money.
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

serde_as_text!(Amount, "an amount in a string, such as \"15.30\"");

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
    fn what_is_finer_than_the_minor_unit_is_not_shown_in_it() {
        let error = amount("7.5").shown_in(Currency::JPY).unwrap_err();
        assert_eq!(error.to_string(), "7.5 is finer than the minor unit of JPY (0 decimals)");
    }

    #[test]
    fn the_limits_are_reached_and_not_passed() {
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
    #[should_panic(expected = "an amount left its limits")]
    fn a_sum_beyond_the_limit_stops_rather_than_rounds() {
        let _ = amount("100000000000000000000000") + amount("0.0001");
    }

    #[test]
    fn totals_have_a_limit_of_their_own_so_that_they_can_be_added_up() {
        let most = amount("100000000000000000000");
        assert!(most.is_fit_for_a_total() && (-most).is_fit_for_a_total());
        assert!(!(most + amount("0.0001")).is_fit_for_a_total());
        let all = (0..1000).fold(amount("0.0000"), |all, _| all + most);
        assert_eq!(all.to_string(), "100000000000000000000000.0000");
    }

    proptest! {
        #[test]
        fn adding_is_exact_whatever_the_decimals(
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
        fn what_was_written_is_read_back_the_same(units in -1_000_000_000_000_000_i128..=1_000_000_000_000_000, scale in 0..=4_u32) {
            let written = rust_decimal::Decimal::from_i128_with_scale(units, scale).to_string();
            let json = serde_json::to_string(&amount(&written)).unwrap();
            prop_assert_eq!(&json, &format!("\"{written}\""));
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap().to_string(), written);
        }
    }
}
