use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::rounding::{divide_round_half_even, shown_with_12_digits};
use crate::{Currency, Invalid, Money, PublishedRate, Rate, RateSource, Total, UnitPrice, WeightedTotal};

/// A conversion from one currency into another. It holds the rates as published, never a quotient of them, so that
/// applying it multiplies first, divides once and rounds once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Conversion {
    /// Both currencies are the same.
    Same,
    /// The rate of the pair is published: multiply by it.
    Direct(PublishedRate),
    /// The rate of the inverse pair is published: divide by it.
    Inverse(PublishedRate),
    /// Both currencies are published against the euro: divide by `to_base`, multiply by `to_quote`.
    Cross {
        /// The rate from the euro to the source currency.
        to_base: PublishedRate,
        /// The rate from the euro to the target currency.
        to_quote: PublishedRate,
    },
}

/// One unit of the source currency is worth `times / by` units of the target currency. Both rates are as published.
struct Ratio {
    times: Rate,
    by: Rate,
}

impl Conversion {
    /// Converts `total` into the currency `into`. The calculation is exact; only its result is rounded, to the minor
    /// unit of `into`, half to even.
    ///
    /// # Errors
    /// [`Invalid::OtherCurrency`] when this conversion is not from the total's currency into `into`,
    /// [`Invalid::ConvertedTooLarge`] when the result is above [`Money::LIMIT`].
    pub fn apply_round_half_even(&self, total: &Total, into: Currency) -> Result<Money, Invalid> {
        self.apply_weighted_round_half_even(&WeightedTotal::from(*total), into)
    }

    /// The same for a total whose lines count at a percentage of their price.
    ///
    /// # Errors
    /// As [`Conversion::apply_round_half_even`].
    pub fn apply_weighted_round_half_even(&self, total: &WeightedTotal, into: Currency) -> Result<Money, Invalid> {
        self.check_pair(total.currency(), into)?;
        let too_large = || Invalid::ConvertedTooLarge { currency: into, limit: Money::LIMIT };
        let Ratio { times, by } = self.ratio();
        // The result in minor units of `into` is total × times ÷ by × 10^exponent. The numerator is at most
        // 10^18 × 10^19, the denominator at most 10^19 × 10^16. A positive exponent can overflow the numerator, but
        // only when the result is far beyond the limit of money.
        let exponent =
            (into.minor_units() + by.scale()).cast_signed() - (times.scale() + UnitPrice::MAX_SCALE).cast_signed();
        let (millionths, hundredths) = total.parts();
        let mut times_mantissa = times.mantissa();
        let mut denominator = by.mantissa();
        if exponent >= 0 {
            times_mantissa *= power_of_ten(exponent);
        } else {
            denominator *= power_of_ten(exponent);
        }
        let numerator = millionths.checked_mul(times_mantissa).ok_or_else(too_large)?;
        let minor_units = divide_with_hundredths(numerator, hundredths * times_mantissa, denominator);
        Money::from_minor_units(minor_units, into).ok_or_else(too_large)
    }

    /// The rate for display: a published rate unchanged, a quotient with 12 significant digits (half to even).
    #[must_use]
    pub fn display_rate(&self) -> String {
        match self {
            Self::Same => Rate::ONE.to_string(),
            Self::Direct(published) => published.rate.to_string(),
            Self::Inverse(_) | Self::Cross { .. } => {
                let Ratio { times, by } = self.ratio();
                let exponent = by.scale().cast_signed() - times.scale().cast_signed();
                let (above, below) =
                    if exponent >= 0 { (power_of_ten(exponent), 1) } else { (1, power_of_ten(exponent)) };
                shown_with_12_digits(times.mantissa() * above, by.mantissa() * below)
            }
        }
    }

    /// When the conversion's rate becomes valid; for a cross, the earlier time of its two rates. `None` for the same
    /// currency.
    #[must_use]
    pub fn valid_from(&self) -> Option<DateTime<Utc>> {
        self.oldest().map(|published| published.valid_from)
    }

    /// The source of the rate; for a cross, that of its older rate, or of `to_base` when both are equally old. `None`
    /// for the same currency.
    #[must_use]
    pub fn source(&self) -> Option<&RateSource> {
        self.oldest().map(|published| &published.source)
    }

    /// The source and the target currency. `None` for the same currency.
    #[must_use]
    pub fn pair(&self) -> Option<(Currency, Currency)> {
        match self {
            Self::Same => None,
            Self::Direct(published) => Some((published.base, published.quote)),
            Self::Inverse(published) => Some((published.quote, published.base)),
            Self::Cross { to_base, to_quote } => Some((to_base.quote, to_quote.quote)),
        }
    }

    fn oldest(&self) -> Option<&PublishedRate> {
        match self {
            Self::Same => None,
            Self::Direct(published) | Self::Inverse(published) => Some(published),
            Self::Cross { to_base, to_quote } if to_quote.valid_from < to_base.valid_from => Some(to_quote),
            Self::Cross { to_base, .. } => Some(to_base),
        }
    }

    fn ratio(&self) -> Ratio {
        match self {
            Self::Same => Ratio { times: Rate::ONE, by: Rate::ONE },
            Self::Direct(published) => Ratio { times: published.rate, by: Rate::ONE },
            Self::Inverse(published) => Ratio { times: Rate::ONE, by: published.rate },
            Self::Cross { to_base, to_quote } => Ratio { times: to_quote.rate, by: to_base.rate },
        }
    }

    fn check_pair(&self, from: Currency, into: Currency) -> Result<(), Invalid> {
        if let Self::Cross { to_base, to_quote } = self {
            expect(to_base.base, to_quote.base)?;
        }
        let (source, target) = self.pair().unwrap_or((from, from));
        expect(from, source)?;
        expect(into, target)
    }
}

/// `(numerator + hundredths / 100) / denominator`, rounded once, half to even. A hundredfold of `numerator` could
/// overflow, a hundredfold of its remainder cannot.
fn divide_with_hundredths(numerator: i128, hundredths: i128, denominator: i128) -> i128 {
    if hundredths == 0 {
        return divide_round_half_even(numerator, denominator);
    }
    let (whole, rest) = (numerator / denominator, numerator % denominator * 100 + hundredths);
    // A tie goes to the even sum, so an odd `whole` takes part in the rounding.
    let odd = whole % 2;
    whole - odd + divide_round_half_even(rest + odd * denominator * 100, denominator * 100)
}

fn expect(expected: Currency, found: Currency) -> Result<(), Invalid> {
    if expected == found { Ok(()) } else { Err(Invalid::OtherCurrency { expected, found }) }
}

/// 10^|exponent|, for exponents from -20 to 20.
fn power_of_ten(exponent: i32) -> i128 {
    10_i128.pow(exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Conversion, divide_with_hundredths};
    use crate::{Currency, Invalid, Money, PublishedRate, Quantity, Rate, Total, UnitPrice};

    const DAY: &str = "2010-12-01T00:00:00Z";

    fn published(base: Currency, quote: Currency, rate: &str, valid_from: &str) -> PublishedRate {
        let (rate, valid_from, source) = (rate.parse().unwrap(), valid_from.parse().unwrap(), "ecb".parse().unwrap());
        PublishedRate { base, quote, rate, valid_from, source }
    }

    fn direct(base: Currency, quote: Currency, rate: &str) -> Conversion {
        Conversion::Direct(published(base, quote, rate, DAY))
    }

    fn inverse(base: Currency, quote: Currency, rate: &str) -> Conversion {
        Conversion::Inverse(published(quote, base, rate, DAY))
    }

    fn cross(base: Currency, to_base: &str, quote: Currency, to_quote: &str) -> Conversion {
        Conversion::Cross {
            to_base: published(Currency::EUR, base, to_base, DAY),
            to_quote: published(Currency::EUR, quote, to_quote, DAY),
        }
    }

    fn total(amount: &str, currency: Currency) -> Total {
        serde_json::from_value(serde_json::json!({ "amount": amount, "currency": currency })).unwrap()
    }

    fn check(conversion: &Conversion, amount: &str, from: Currency, expected: &str) {
        let into = conversion.pair().map_or(from, |(_, into)| into);
        let money = conversion.apply_round_half_even(&total(amount, from), into).unwrap();
        assert_eq!(money.to_string(), format!("{expected} {into}"));
    }

    use Currency as C;

    #[test]
    fn hundredths_take_part_in_the_one_rounding() {
        // (numerator, hundredths, denominator): 2.5 is a tie to 2, 3.5 to 4; a hundredth more is none.
        for (numerator, hundredths, denominator, expected) in [
            (2, 50, 1, 2),
            (3, 50, 1, 4),
            (2, 51, 1, 3),
            (24, 99, 10, 2),
            (25, 0, 10, 2),
            (25, 1, 10, 3),
            (34, 99, 10, 3),
        ] {
            let rounded = divide_with_hundredths(numerator, hundredths, denominator);
            assert_eq!(rounded, expected, "{numerator} {hundredths} {denominator}");
        }
        assert_eq!(divide_with_hundredths(10_i128.pow(37), 10_i128.pow(21), 10_i128.pow(35)), 100);
    }

    #[test]
    fn dividing_by_the_published_rate_preserves_a_tie() {
        let exact = inverse(C::GBP, C::EUR, "0.848");
        check(&exact, "39.75", C::GBP, "46.88"); // 39.75 / 0.848 is exactly 46.875
        check(&exact, "39.7499", C::GBP, "46.87");
    }

    #[test]
    fn multiplying_by_a_rounded_inverse_loses_the_tie() {
        let shown = inverse(C::GBP, C::EUR, "0.848").display_rate();
        assert_eq!(shown, "1.17924528302");
        // With ten decimals, the most that a rate can have, the last digit is rounded down to 0: 46.8749999992….
        check(&direct(C::GBP, C::EUR, "1.1792452830"), "39.75", C::GBP, "46.87");
    }

    #[test]
    fn each_currency_is_rounded_to_its_own_minor_unit() {
        check(&direct(C::EUR, C::JPY, "110.50"), "1.00", C::EUR, "110");
        check(&direct(C::EUR, C::JPY, "111.50"), "1.00", C::EUR, "112");
        check(&direct(C::EUR, C::KWD, "0.3705"), "1.00", C::EUR, "0.370");
        check(&direct(C::EUR, C::KWD, "0.3715"), "1.00", C::EUR, "0.372");
        check(&inverse(C::JPY, C::EUR, "160"), "1", C::JPY, "0.01");
        check(&inverse(C::JPY, C::KWD, "400"), "1", C::JPY, "0.002");
        check(&cross(C::JPY, "110.25", C::KWD, "0.3675"), "2.55", C::JPY, "0.008");
        check(&Conversion::Same, "0.125", C::GBP, "0.12");
    }

    #[test]
    fn a_cross_is_rounded_once_and_not_in_euros() {
        // Exactly 0.015 USD, a tie. Rounding to 0.01 EUR first would give 0.01 USD.
        check(&cross(C::JPY, "110", C::USD, "1.10"), "1.5", C::JPY, "0.02");
        check(&cross(C::GBP, "0.848", C::USD, "1.3115"), "39.75", C::GBP, "61.48");
    }

    #[test]
    fn the_largest_numbers_neither_overflow_nor_round() {
        let (big, small) = ("999999999.9999999999", "0.0000000001");
        check(&cross(C::GBP, big, C::USD, big), "1000000000000", C::GBP, "1000000000000.00");
        check(&cross(C::GBP, big, C::USD, small), "1000000000000", C::GBP, "0.00");
        check(&inverse(C::GBP, C::USD, small), "0.01", C::GBP, "100000000.00");
        check(&direct(C::GBP, C::USD, big), "1000", C::GBP, "1000000000000.00");
        let clf = C::try_from("CLF").unwrap();
        for beyond in [cross(C::GBP, small, clf, big), inverse(C::GBP, clf, small), direct(C::GBP, clf, big)] {
            let error = beyond.apply_round_half_even(&total("1000000000000", C::GBP), clf).unwrap_err();
            assert_eq!(error.to_string(), "the converted amount in CLF is larger than the limit 1000000000000");
        }
    }

    #[test]
    fn a_conversion_between_other_currencies_is_refused() {
        let refused =
            |conversion: &Conversion, from, into| conversion.apply_round_half_even(&total("1", from), into).is_err();
        assert!(refused(&Conversion::Same, C::GBP, C::EUR));
        assert!(refused(&direct(C::EUR, C::GBP, "0.848"), C::GBP, C::EUR));
        assert!(refused(&direct(C::EUR, C::GBP, "0.848"), C::EUR, C::USD));
        assert!(refused(&direct(C::EUR, C::GBP, "0.848"), C::USD, C::GBP));
        assert!(refused(&inverse(C::GBP, C::EUR, "0.848"), C::EUR, C::GBP));
        assert!(refused(&cross(C::GBP, "0.848", C::USD, "1.3"), C::USD, C::GBP));
        let mixed = Conversion::Cross {
            to_base: published(C::EUR, C::GBP, "1", DAY),
            to_quote: published(C::JPY, C::USD, "1", DAY),
        };
        assert!(refused(&mixed, C::GBP, C::USD));
    }

    #[test]
    fn a_published_rate_is_shown_as_published_and_a_quotient_with_twelve_digits() {
        let shown = |conversion: &Conversion, expected: &str| assert_eq!(conversion.display_rate(), expected);
        shown(&Conversion::Same, "1");
        shown(&direct(C::EUR, C::USD, "1.1730"), "1.173");
        shown(&inverse(C::USD, C::EUR, "1.173"), "0.852514919011");
        shown(&inverse(C::USD, C::EUR, "0.8"), "1.25000000000");
        shown(&cross(C::GBP, "0.848", C::USD, "1.3115"), "1.54658018868");
        shown(&cross(C::GBP, "0.0000000001", C::USD, "999999999.9999999999"), "10000000000000000000");
        shown(&cross(C::GBP, "999999999.9999999999", C::USD, "0.0000000001"), "0.000000000000000000100000000000");
    }

    #[test]
    fn a_cross_is_as_old_as_its_older_rate() {
        let leg = |quote, valid_from: &str, source: &str| PublishedRate {
            source: source.parse().unwrap(),
            ..published(C::EUR, quote, "1.5", valid_from)
        };
        let check = |to_base: &str, to_quote: &str, day: &str, source: &str| {
            let cross =
                Conversion::Cross { to_base: leg(C::GBP, to_base, "ecb"), to_quote: leg(C::USD, to_quote, "manual") };
            assert_eq!(cross.valid_from(), Some(day.parse().unwrap()));
            assert_eq!(cross.source().map(ToString::to_string).as_deref(), Some(source));
        };
        let next = "2010-12-02T00:00:00Z";
        check(DAY, next, DAY, "ecb");
        check(next, DAY, DAY, "manual");
        check(DAY, DAY, DAY, "ecb");
        assert_eq!((Conversion::Same.valid_from(), Conversion::Same.source()), (None, None));
    }

    #[test]
    fn the_json_of_a_conversion_holds_the_published_rates() {
        let json = |conversion: &Conversion| serde_json::to_string(conversion).unwrap();
        assert_eq!(json(&Conversion::Same), r#""same""#);
        assert_eq!(
            json(&inverse(C::GBP, C::EUR, "0.848")),
            r#"{"inverse":{"base":"EUR","quote":"GBP","rate":"0.848","valid_from":"2010-12-01T00:00:00Z","source":"ecb"}}"#
        );
        for conversion in [Conversion::Same, direct(C::EUR, C::GBP, "0.848"), cross(C::GBP, "0.848", C::USD, "1.3")] {
            assert_eq!(serde_json::from_str::<Conversion>(&json(&conversion)).unwrap(), conversion);
        }
    }

    /// A product of any size by long multiplication, as 32-bit limbs with the most significant one first.
    fn product(factors: &[i128]) -> Vec<u32> {
        let limbs =
            |factor: i128| (0..4).map(move |place| u32::try_from(factor >> (32 * place) & 0xFFFF_FFFF).unwrap());
        let mut product = vec![1_u32];
        for factor in factors {
            let mut next = vec![0_u32; product.len() + 5];
            for (shift, limb) in limbs(*factor).enumerate() {
                let mut carry = 0_u64;
                for (place, digit) in product.iter().chain(&[0]).enumerate() {
                    let sum = u64::from(*digit) * u64::from(limb) + u64::from(next[shift + place]) + carry;
                    next[shift + place] = u32::try_from(sum & 0xFFFF_FFFF).unwrap();
                    carry = sum >> 32;
                }
                assert_eq!(carry, 0);
            }
            product = next;
        }
        product.resize(64, 0);
        product.reverse(); // the most significant limb first, so that vectors compare as numbers
        product
    }

    /// The definition of rounding half to even: `minor_units` is at most half a unit away from numerator / denominator,
    /// and even if it is exactly half a unit away.
    fn is_rounded_half_even(minor_units: i128, numerator: &[i128], denominator: &[i128]) -> bool {
        let twice = product(&[numerator, &[2]].concat());
        let above = product(&[denominator, &[2 * minor_units + 1]].concat());
        let below = product(&[denominator, &[(2 * minor_units - 1).max(0)]].concat());
        let tie = twice == above || (minor_units > 0 && twice == below);
        below <= twice && twice <= above && (!tie || minor_units % 2 == 0)
    }

    prop_compose! {
        // The number of digits is drawn first, so that rates of all magnitudes are equally likely.
        fn any_rate()(size in 1..=19_u32, scale in 0..=10_u32, digits in 1..=10_000_000_000_000_000_000_i128) -> Rate {
            let mantissa = (digits % 10_i128.pow(size)).clamp(1, 10_i128.pow(9 + scale));
            rust_decimal::Decimal::from_i128_with_scale(mantissa, scale).to_string().parse().unwrap()
        }
    }

    prop_compose! {
        fn any_total()(size in 1..=15_u32, price in 0..=1_000_000_000_000_000_i128, quantity in 1..=1000_i128) -> Total {
            let price = rust_decimal::Decimal::from_i128_with_scale(price % 10_i128.pow(size), UnitPrice::MAX_SCALE);
            let mut total = Total::zero(C::GBP);
            let price = UnitPrice::parse(&price.to_string(), C::GBP).unwrap();
            total.add_line(Quantity::new(quantity).unwrap(), price).unwrap();
            total
        }
    }

    fn minor_units(money: Money) -> i128 {
        money.amount().to_string().replace('.', "").parse().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_conversion_is_the_exact_quotient_rounded_once(
            total in any_total(),
            (to_base, to_quote) in (any_rate(), any_rate()),
            into in prop::sample::select(vec!["JPY", "EUR", "KWD", "CLF"]),
        ) {
            let into = C::try_from(into).unwrap();
            let one = "1".parse::<Rate>().unwrap();
            let cases = [
                (direct(C::GBP, into, &to_quote.to_string()), to_quote, one),
                (inverse(C::GBP, into, &to_base.to_string()), one, to_base),
                (cross(C::GBP, &to_base.to_string(), into, &to_quote.to_string()), to_quote, to_base),
            ];
            for (conversion, times, by) in cases {
                let ten = |exponent: u32| 10_i128.pow(exponent);
                let numerator = [total.millionths(), times.mantissa(), ten(by.scale()), ten(into.minor_units())];
                let denominator = [by.mantissa(), ten(times.scale()), ten(6)];
                match conversion.apply_round_half_even(&total, into) {
                    Ok(money) => prop_assert!(
                        is_rounded_half_even(minor_units(money), &numerator, &denominator),
                        "{total} by {conversion:?} is not {money}"
                    ),
                    Err(Invalid::ConvertedTooLarge { .. }) => {
                        let limit = [&denominator[..], &[2 * Money::LIMIT * ten(into.minor_units()) + 1]].concat();
                        let twice = [&numerator[..], &[2]].concat();
                        prop_assert!(product(&twice) >= product(&limit), "{total} by {conversion:?} is within the limit");
                    }
                    Err(other) => prop_assert!(false, "{total} by {conversion:?}: {other}"),
                }
            }
        }
    }
}
