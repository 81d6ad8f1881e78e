//! The CSV of one day: `30 October 2026, 1.1172, 175.68, …, `.

use super::csv::Form;
use super::days::DateForm;

/// As the ECB writes it. Whether it writes a day of one digit with a zero is not known: both are taken.
pub(super) const DAILY: Form =
    Form { separator: ", ", dates: DateForm { formats: &["%-d %B %Y", "%d %B %Y"], example: "30 October 2026" } };

/// Whether it is this one, by what follows its first column.
pub(super) fn is_daily(text: &str) -> bool {
    text.starts_with("Date, ")
}
