//! What can be wrong with a file.

use std::error::Error;
use std::io;

/// Why a file cannot be replayed. Lines count from 1, with the header; those of a workbook are the rows of its sheet.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Cannot be opened.
    #[error("it cannot be opened")]
    Open {
        /// Why.
        source: io::Error,
    },
    /// No bytes, or no cells, at all.
    #[error("it is empty")]
    Empty,
    /// Neither form.
    #[error(
        "it is {found}; expected is a CSV whose first line is `line,invoice,kind,…` (the clean form) or \
         `InvoiceNo,StockCode,…` (the original form), plain or packed with gzip or Zstandard, or the original as .xlsx"
    )]
    Unknown {
        /// What it is instead.
        found: String,
    },
    /// A ZIP archive, as a workbook is, but not whole, or none of a workbook.
    #[error("it is a ZIP archive, but cannot be read as a workbook (.xlsx): damaged, cut off, or something else")]
    Workbook {
        /// What its reader says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A workbook of which a part is not what its checksum says.
    #[error("the workbook is damaged in {part}")]
    Damaged {
        /// The file within it.
        part: String,
        /// What its reader says.
        source: io::Error,
    },
    /// A workbook of several sheets.
    #[error("the workbook has {} sheets where one is expected: {}", found.len(), found.join(", "))]
    Sheets {
        /// Their names.
        found: Vec<String>,
    },
    /// Cannot be read, or its compressed form is cut off or damaged.
    #[error("it cannot be read, or is damaged or cut off, after line {line}")]
    Read {
        /// The last line that could be read.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// Cells that do not come from left to right, and from above.
    #[error("line {line}: the cells of the sheet are not in order")]
    Disorder {
        /// Where.
        line: u64,
    },
    /// Not a text in an encoding that can be told.
    #[error("line {line} is not {expected}")]
    Encoding {
        /// Where.
        line: u64,
        /// What it would have to be.
        expected: &'static str,
    },
    /// Begins as one of the forms does, and goes on otherwise.
    #[error("line 1, column {column}: `{found}` where `{expected}` is expected")]
    Header {
        /// Where.
        column: usize,
        /// What stands there, shortened.
        found: String,
        /// What the form has there.
        expected: &'static str,
    },
    /// More or fewer columns than there are.
    #[error("line {line} has {found} columns where {expected} are expected")]
    Columns {
        /// Where.
        line: u64,
        /// How many there are.
        found: u64,
        /// How many the form has.
        expected: usize,
    },
    /// A value that cannot be.
    #[error("line {line}, {column}: `{found}` {why}")]
    Value {
        /// Where.
        line: u64,
        /// The column's name.
        column: &'static str,
        /// What stands there, shortened.
        found: String,
        /// What is wrong with it.
        why: String,
    },
    /// The lines of an invoice do not go together.
    #[error("line {line}: invoice {invoice} {why}")]
    Invoice {
        /// Where.
        line: u64,
        /// Which.
        invoice: String,
        /// What is wrong.
        why: String,
    },
    /// The last line has no end.
    #[error("it is cut off in line {line}, which has no line end")]
    CutOff {
        /// Where.
        line: u64,
    },
    /// A header, and nothing after it.
    #[error("it has no invoice: there is no line after its header")]
    NoLines,
    /// The days that were asked for have no invoice.
    #[error("no invoice is {asked}: {there}")]
    NoneInDays {
        /// The days.
        asked: String,
        /// Those that there are.
        there: String,
    },
    /// Read for the second time it says something else.
    #[error("line {line}: the file was changed while it was replayed")]
    Changed {
        /// Where.
        line: u64,
    },
}

impl FileError {
    /// Neither form, by its first line.
    pub fn unknown(first_line: &str) -> Self {
        Self::Unknown { found: format!("something whose first line is `{}`", shortened(first_line).escape_debug()) }
    }
}

/// So much of a text that an error can quote it.
pub fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
