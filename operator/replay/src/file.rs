//! The errors of a file.

use std::error::Error;
use std::io;

/// Why a file cannot be replayed. Lines count from 1, with the header; those of a workbook are the rows of its sheet.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened.
    #[error("it cannot be opened")]
    Open {
        /// The cause.
        source: io::Error,
    },
    /// The file has no bytes, or no cells.
    #[error("it is empty")]
    Empty,
    /// The file has neither form.
    #[error(
        "it is {found}; expected a CSV whose first line is `line,invoice,kind,…` (the clean form) or \
         `InvoiceNo,StockCode,…` (the original form), plain or packed with gzip or Zstandard, or the original as .xlsx"
    )]
    Unknown {
        /// What the file is instead.
        found: String,
    },
    /// The file is a ZIP archive, as workbooks are, but it is damaged, cut off, or no workbook.
    #[error("it is a ZIP archive, but cannot be read as a workbook (.xlsx): damaged, cut off, or something else")]
    Workbook {
        /// The error of the library.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A part of the workbook does not match its checksum.
    #[error("the workbook is damaged in {part}")]
    Damaged {
        /// The name of the part.
        part: String,
        /// The error of the library.
        source: io::Error,
    },
    /// The workbook has several sheets.
    #[error("the workbook has {} sheets where one is expected: {}", found.len(), found.join(", "))]
    Sheets {
        /// The names of the sheets.
        found: Vec<String>,
    },
    /// The file cannot be read, or its compressed data is cut off or damaged.
    #[error("it cannot be read, or is damaged or cut off, after line {line}")]
    Read {
        /// The last line that could be read.
        line: u64,
        /// The cause.
        source: io::Error,
    },
    /// The cells are not in order, from left to right and from top to bottom.
    #[error("line {line}: the cells of the sheet are not in order")]
    Disorder {
        /// The line.
        line: u64,
    },
    /// The line is not text in a known encoding.
    #[error("line {line} is not {expected}")]
    Encoding {
        /// The line.
        line: u64,
        /// The expected encoding.
        expected: &'static str,
    },
    /// The header begins like that of one form but continues differently.
    #[error("line 1, column {column}: `{found}` where `{expected}` is expected")]
    Header {
        /// The column, from 1.
        column: usize,
        /// The text there, shortened.
        found: String,
        /// The name of this column in the form.
        expected: &'static str,
    },
    /// The line has more or fewer columns than the form.
    #[error("line {line} has {found} columns where {expected} are expected")]
    Columns {
        /// The line.
        line: u64,
        /// The number of columns of the line.
        found: u64,
        /// The number of columns of the form.
        expected: usize,
    },
    /// A value is not valid.
    #[error("line {line}, {column}: `{found}` {why}")]
    Value {
        /// The line.
        line: u64,
        /// The name of the column.
        column: &'static str,
        /// The text there, shortened.
        found: String,
        /// The reason.
        why: String,
    },
    /// The lines of an invoice do not fit together.
    #[error("line {line}: invoice {invoice} {why}")]
    Invoice {
        /// The line.
        line: u64,
        /// The number of the invoice.
        invoice: String,
        /// The reason.
        why: String,
    },
    /// The file is not that of the hotel bookings.
    #[error("there is no column `{missing}` in its first line, `{first_line}`; expected the hotel booking demand data")]
    NoBookings {
        /// The column that is missing.
        missing: &'static str,
        /// The first line, shortened.
        first_line: String,
    },
    /// The last line has no end.
    #[error("it is cut off in line {line}, which has no line end")]
    CutOff {
        /// The line.
        line: u64,
    },
    /// The file has nothing after its header.
    #[error("it has nothing to replay: there is no line after its header")]
    NoLines,
    /// There is no invoice on the requested days.
    #[error("no invoice is {asked}: {there}")]
    NoneInDays {
        /// The requested days.
        asked: String,
        /// The days of the file's invoices.
        there: String,
    },
    /// The second pass found other content than the first.
    #[error("line {line}: the file was changed while it was replayed")]
    Changed {
        /// The line.
        line: u64,
    },
}

impl FileError {
    /// The error of a file with neither form, by its first line.
    pub fn unknown(first_line: &str) -> Self {
        Self::Unknown { found: format!("a file whose first line is `{}`", shortened(first_line).escape_debug()) }
    }
}

/// The first 40 characters of a text, for an error message.
pub fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
