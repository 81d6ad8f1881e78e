//! Decimal numbers as integers, for the replay's own arithmetic. It does not use the crate `money`, on purpose:
//! otherwise the check at the end would repeat the mistakes of what it checks.

use money::{Currency, Invalid, Money};

/// The number of decimals of a scaled price or total: millionths.
pub const PRICE_DECIMALS: u32 = 6;

/// The number of decimals of a scaled rate.
pub const RATE_DECIMALS: u32 = 10;

/// A plain decimal (`-12.30`) times 10^`decimals`. `None` if it is no such number, has more decimals, or has more than
/// 20 digits before or after the point.
pub fn scaled(text: &str, decimals: u32) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| (1..=20).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let fraction_kept = fraction.trim_end_matches('0');
    let missing = decimals.checked_sub(u32::try_from(fraction_kept.len()).ok()?)?;
    let number: i128 = format!("{whole}{fraction_kept}").parse().ok()?;
    let magnitude = number.checked_mul(10_i128.pow(missing))?;
    Some(if digits.len() < text.len() { -magnitude } else { magnitude })
}

/// `above / below`, rounded to the nearest integer, half to even. `above` must not be negative, and `below` must be
/// positive. `None` if twice the remainder leaves the range.
pub fn nearest(above: i128, below: i128) -> Option<i128> {
    let (whole, rest) = (above.checked_div(below)?, above.checked_rem(below)?);
    Some(match rest.checked_mul(2)?.cmp(&below) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Equal => whole + whole % 2,
        std::cmp::Ordering::Greater => whole + 1,
    })
}

/// This many minor units (not below zero) as money.
///
/// # Errors
/// [`Invalid::TooLarge`], [`Invalid::TooManyDigits`].
pub fn money_of(minor_units: i128, currency: Currency) -> Result<Money, Invalid> {
    let unit = 10_i128.pow(currency.minor_units());
    let (whole, part) = (minor_units / unit, minor_units % unit);
    let width = currency.minor_units() as usize;
    let text = if width == 0 { whole.to_string() } else { format!("{whole}.{part:0width$}") };
    Money::parse(&text, currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parsed_exactly_or_not_at_all() {
        let check = |text: &str, expected: Option<i128>| assert_eq!(scaled(text, 6), expected, "{text}");
        check("2.55", Some(2_550_000));
        check("-11062.06", Some(-11_062_060_000));
        check("0.001", Some(1_000));
        check("3", Some(3_000_000));
        check("1.00000000", Some(1_000_000));
        for wrong in ["", "-", ".5", "5.", "1e3", "+1", " 1", "1,5", "--1", "0.0000001", "111111111111111111111"] {
            check(wrong, None);
        }
    }

    #[test]
    fn halves_are_rounded_to_even() {
        let check = |above, below, expected| assert_eq!(nearest(above, below), Some(expected), "{above}/{below}");
        check(0, 7, 0);
        check(5, 2, 2);
        check(7, 2, 4);
        check(4_999, 1_000, 5);
        check(4_499, 1_000, 4);
        check(4_501, 1_000, 5);
    }

    #[test]
    fn minor_units_become_money() {
        for (units, code, expected) in [(5, "GBP", "0.05 GBP"), (1_234, "EUR", "12.34 EUR"), (900, "JPY", "900 JPY")] {
            assert_eq!(money_of(units, code.parse().unwrap()).unwrap().to_string(), expected);
        }
    }
}
