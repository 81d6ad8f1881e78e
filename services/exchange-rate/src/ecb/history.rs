//! The CSV format of the whole history: `2026-10-30,1.1172,175.68,…,`, newest day first.

use super::csv::Form;
use super::days::DateForm;

/// The format as the ECB writes it.
pub(super) const HISTORY: Form = Form { separator: ",", dates: DateForm::ISO };
