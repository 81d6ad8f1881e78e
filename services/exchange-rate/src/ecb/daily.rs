//! The CSV format of one day: `30 October 2026, 1.1172, 175.68, …, `.

use super::csv::Form;
use super::days::DateForm;

/// The format as the ECB writes it. It is not known whether the ECB pads a day of one digit with a zero, so both are
/// accepted.
pub(super) const DAILY: Form =
    Form { separator: ", ", dates: DateForm { formats: &["%-d %B %Y", "%d %B %Y"], example: "30 October 2026" } };

/// Whether a text has this format, by its first separator.
pub(super) fn is_daily(text: &str) -> bool {
    text.starts_with("Date, ")
}
