/// Divides and rounds to the nearest whole number, a tie to the even one (round half to even).
///
/// This is the only place in the project where an amount of money is rounded.
pub(crate) fn divide_round_half_even(numerator: i128, denominator: i128) -> i128 {
    assert!(numerator >= 0 && denominator > 0, "expected numerator >= 0 and denominator > 0");
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    // Compares `2 * remainder` with `denominator` without computing the product, which could overflow.
    let up = match remainder.cmp(&(denominator - remainder)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
        std::cmp::Ordering::Greater => true,
    };
    quotient + i128::from(up)
}

const DIGITS: u32 = 12;

/// Formats `numerator / denominator` as a plain decimal with 12 significant digits, rounded half to even. The result is
/// for display only; no calculation uses it.
///
/// Both arguments must be above zero and at most 10^35, so that no step overflows an `i128`.
pub(crate) fn shown_with_12_digits(mut numerator: i128, mut denominator: i128) -> String {
    assert!(numerator > 0 && denominator > 0, "a rate must be above zero");
    let mut exponent = 0_i32; // of the first digit; 0 for units
    while numerator < denominator {
        numerator *= 10;
        exponent -= 1;
    }
    while numerator / 10 >= denominator {
        denominator *= 10;
        exponent += 1;
    }
    let mut digits = 0;
    for _ in 1..DIGITS {
        digits = digits * 10 + numerator / denominator;
        numerator = numerator % denominator * 10;
    }
    let last = divide_round_half_even(numerator, denominator);
    digits = digits * 10 + last;
    if digits == 10_i128.pow(DIGITS) {
        digits /= 10;
        exponent += 1;
    }
    with_point(&digits.to_string(), exponent)
}

/// Inserts the decimal point, given the exponent of the first digit: (`"123"`, 1) is 12.3.
fn with_point(digits: &str, exponent: i32) -> String {
    let Ok(place) = usize::try_from(exponent) else {
        let zeros = exponent.unsigned_abs() as usize - 1;
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    match digits.split_at_checked(place + 1) {
        Some((whole, "")) => whole.to_owned(),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{digits}{}", "0".repeat(place + 1 - digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::{divide_round_half_even, shown_with_12_digits};

    #[test]
    fn a_tie_is_rounded_to_the_even_neighbour() {
        for (numerator, denominator, expected) in [
            (5, 10, 0),
            (15, 10, 2),
            (25, 10, 2),
            (14, 10, 1),
            (16, 10, 2),
            (0, 7, 0),
            (i128::MAX, i128::MAX, 1),
            (i128::MAX - 1, i128::MAX, 1),
        ] {
            assert_eq!(divide_round_half_even(numerator, denominator), expected, "{numerator}/{denominator}");
        }
    }

    fn check(numerator: i128, denominator: i128, expected: &str) {
        assert_eq!(shown_with_12_digits(numerator, denominator), expected);
    }

    #[test]
    fn twelve_significant_digits_are_shown_for_any_magnitude() {
        check(1, 3, "0.333333333333");
        check(2, 3, "0.666666666667");
        check(1, 1, "1.00000000000");
        check(1000, 848, "1.17924528302");
        check(1, 300, "0.00333333333333");
        check(200_000, 3, "66666.6666667");
        check(123_456_789_012, 1, "123456789012");
        check(1_234_567_890_126, 1, "1234567890130");
        check(999_999_999_999_500, 1000, "1000000000000");
        check(999_999_999_998_500, 1000, "999999999998");
        check(9_999_999_999_996, 10_000_000_000_000, "1.00000000000");
        check(10_i128.pow(35), 1, &format!("1{}", "0".repeat(35)));
        check(1, 10_i128.pow(35), &format!("0.{}100000000000", "0".repeat(34)));
        check(10_i128.pow(35), 10_i128.pow(35), "1.00000000000");
    }
}
