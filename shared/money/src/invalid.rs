use rust_decimal::Decimal;

use crate::Currency;

/// Why a value was refused. The text names the value and the limit it broke, and is meant for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No code of ISO 4217, or one that stands for no currency that can be paid in (`XXX`, `XAU`).
    #[error("`{code}` is not an ISO 4217 currency")]
    NotACurrency {
        /// What was sent, shortened to 40 characters.
        code: String,
    },
    /// The code of a currency, but not written as ISO 4217 does.
    #[error("ISO 4217 currency codes are upper case: {code}")]
    CurrencyInLowerCase {
        /// As it has to be written.
        code: String,
    },
    /// A currency that was withdrawn, and that the European Central Bank has published no rates of.
    #[error("{code} is a withdrawn currency: nobody can be paid in it any more")]
    WithdrawnCurrency {
        /// What was sent.
        code: String,
    },
    /// Not digits with an optional `-` before and one `.` inside.
    #[error("`{text}` is not a plain decimal number such as 15.30")]
    NotADecimal {
        /// What was sent, shortened to 40 characters.
        text: String,
    },
    /// More digits than a decimal can hold.
    #[error("`{text}` has more than {limit} digits")]
    TooManyDigits {
        /// What was sent, shortened to 40 characters.
        text: String,
        /// The most digits allowed, leading zeros included.
        limit: usize,
    },
    /// A sum of money with more decimals than its currency has.
    #[error("{value} is finer than the minor unit of {currency} ({decimals} decimals)", decimals = currency.minor_units())]
    FinerThanMinorUnit {
        /// What was sent.
        value: Decimal,
        /// The currency it was sent in.
        currency: Currency,
    },
    /// More decimals than the type allows.
    #[error("{value} has more than {limit} decimals")]
    TooManyDecimals {
        /// What was sent.
        value: Decimal,
        /// The most decimals allowed.
        limit: u32,
    },
    /// Outside the type's limit, on either side of zero.
    #[error("{value} is larger than the limit {limit}")]
    TooLarge {
        /// What was sent.
        value: Decimal,
        /// The largest magnitude allowed.
        limit: i128,
    },
    /// Below zero where the least is zero.
    #[error("{value} is negative")]
    Negative {
        /// What was sent.
        value: Decimal,
    },
    /// Zero or below where only more than zero makes sense.
    #[error("{value} is not greater than zero")]
    NotPositive {
        /// What was sent.
        value: Decimal,
    },
    /// The lines of one purchase are worth more than a total can be.
    #[error("the lines add up to more than the limit {limit}")]
    TotalTooLarge {
        /// The largest total allowed.
        limit: i128,
    },
    /// A conversion gives more than a sum of money can be.
    #[error("the sum in {currency} is larger than the limit {limit}")]
    ConvertedTooLarge {
        /// The currency converted into.
        currency: Currency,
        /// The largest sum allowed.
        limit: i128,
    },
    /// Two currencies where there must be one.
    #[error("{found} where {expected} is expected")]
    OtherCurrency {
        /// The currency needed.
        expected: Currency,
        /// The currency found.
        found: Currency,
    },
    /// Not the name of a publisher of rates.
    #[error("`{text}` is not a source: 1 to 64 printable ASCII characters")]
    NotASource {
        /// What was sent, shortened to 40 characters.
        text: String,
    },
}

/// The beginning of a text, so that an error never carries a megabyte back.
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
