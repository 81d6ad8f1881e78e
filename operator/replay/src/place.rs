//! Where a line is in its file.

use crate::form::Form;

/// The place of a line.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The line of the text, or the row of the sheet, counted from 1 with the header.
    pub line: u64,
    /// The number of the record, without the header, however many lines of text a record takes.
    pub number: u64,
    /// The form of the line.
    pub form: Form,
}
