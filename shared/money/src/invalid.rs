use rust_decimal::Decimal;

use crate::Currency;

/// The reason why a value is invalid. The message names the value and the limit, and is meant for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The text is not an ISO 4217 code, or is a code that cannot be used for payments (`XXX`, `XAU`).
    #[error("`{code}` is not an ISO 4217 currency")]
    NotACurrency {
        /// The input, shortened to 40 characters.
        code: String,
    },
    /// The code of a currency, not in upper case.
    #[error("ISO 4217 currency codes are upper case: write {code}")]
    CurrencyInLowerCase {
        /// The code in upper case.
        code: String,
    },
    /// A withdrawn currency for which the European Central Bank has published no rates.
    #[error("{code} is a withdrawn currency and can no longer be used for payments")]
    WithdrawnCurrency {
        /// The code.
        code: String,
    },
    /// The text is not a plain decimal: digits with an optional leading `-` and an optional `.` between digits.
    #[error("`{text}` is not a plain decimal number such as 15.30")]
    NotADecimal {
        /// The input, shortened to 40 characters.
        text: String,
    },
    /// The number has more digits than a decimal can hold.
    #[error("`{text}` has more than {limit} digits")]
    TooManyDigits {
        /// The input, shortened to 40 characters.
        text: String,
        /// The most digits allowed, including leading zeros.
        limit: usize,
    },
    /// The amount has more decimals than its currency.
    #[error("{value} is finer than the minor unit of {currency} ({decimals} decimals)", decimals = currency.minor_units())]
    FinerThanMinorUnit {
        /// The value.
        value: Decimal,
        /// The currency of the amount.
        currency: Currency,
    },
    /// The number has more decimals than its type allows.
    #[error("{value} has more than {limit} decimals")]
    TooManyDecimals {
        /// The value.
        value: Decimal,
        /// The most decimals allowed.
        limit: u32,
    },
    /// The magnitude of the number is above the limit of its type.
    #[error("{value} is larger than the limit {limit}")]
    TooLarge {
        /// The value.
        value: Decimal,
        /// The largest magnitude allowed.
        limit: i128,
    },
    /// The number is below zero, which its type does not allow.
    #[error("{value} is negative")]
    Negative {
        /// The value.
        value: Decimal,
    },
    /// The number is zero or below, which its type does not allow.
    #[error("{value} is not greater than zero")]
    NotPositive {
        /// The value.
        value: Decimal,
    },
    /// The lines of a purchase add up to more than [`Total::LIMIT`](crate::Total::LIMIT).
    #[error("the lines add up to more than the limit {limit}")]
    TotalTooLarge {
        /// The largest total allowed.
        limit: i128,
    },
    /// A converted amount is above [`Money::LIMIT`](crate::Money::LIMIT).
    #[error("the converted amount in {currency} is larger than the limit {limit}")]
    ConvertedTooLarge {
        /// The target currency.
        currency: Currency,
        /// The largest amount allowed.
        limit: i128,
    },
    /// The currencies differ where they must be equal.
    #[error("expected {expected}, found {found}")]
    OtherCurrency {
        /// The required currency.
        expected: Currency,
        /// The actual currency.
        found: Currency,
    },
    /// The text is not a valid [`RateSource`](crate::RateSource).
    #[error("`{text}` is not a rate source: use 1 to 64 printable ASCII characters")]
    NotASource {
        /// The input, shortened to 40 characters.
        text: String,
    },
}

/// The first 40 characters of a text, so that an error message stays short.
pub(crate) fn shortened(text: &str) -> String {
    const LIMIT: usize = 40;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn an_error_quotes_at_most_forty_characters() {
        assert_eq!(shortened(&"ü".repeat(40)), "ü".repeat(40));
        assert_eq!(shortened(&"ü".repeat(41)), format!("{}…", "ü".repeat(40)));
    }
}
