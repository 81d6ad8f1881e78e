//! Decimal arithmetic with whole numbers. It uses nothing of the crate `money`, because that is what it checks.

/// The number of decimals of a currency's smallest unit, for the currencies of the simulation.
pub fn minor_units(currency: &str) -> u32 {
    match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    }
}

/// The digits of a decimal text without its point, and the number of digits after the point.
pub fn decimal(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, u32::try_from(fraction.len()).ok()?))
}

/// A decimal text in units of 10^-`scale`; `None` if it has more decimals.
pub fn units(text: &str, scale: u32) -> Option<i128> {
    let (digits, decimals) = decimal(text)?;
    Some(digits * 10_i128.pow(scale.checked_sub(decimals)?))
}

/// `above / below`, rounded half to even. `above` must not be negative, `below` must be positive.
pub fn half_even(above: i128, below: i128) -> i128 {
    let (quotient, twice_rest) = (above / below, above % below * 2);
    let up = twice_rest > below || (twice_rest == below && quotient % 2 == 1);
    quotient + i128::from(up)
}
