//! Decimals as whole numbers: nothing of the crate `money`, which is what is being checked.

/// The decimals of a currency's smallest unit, for those the simulation uses.
pub fn minor_units(currency: &str) -> u32 {
    match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    }
}

/// A decimal text without its point, and how many of its digits stood after it.
pub fn decimal(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, u32::try_from(fraction.len()).ok()?))
}

/// A decimal text in units of 10^-`scale`; `None` when it is finer.
pub fn units(text: &str, scale: u32) -> Option<i128> {
    let (digits, decimals) = decimal(text)?;
    Some(digits * 10_i128.pow(scale.checked_sub(decimals)?))
}

/// `above / below`, to the nearest whole number, a tie to the even one. Both are positive or zero above.
pub fn half_even(above: i128, below: i128) -> i128 {
    let (quotient, twice_rest) = (above / below, above % below * 2);
    let up = twice_rest > below || (twice_rest == below && quotient % 2 == 1);
    quotient + i128::from(up)
}
