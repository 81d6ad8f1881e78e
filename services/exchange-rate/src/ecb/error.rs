//! Why a file is refused, and where.

use std::fmt;

use chrono::NaiveDate;
use money::Currency;
use zip::result::ZipError;

/// Where in a file. Both count from 1. In a CSV a column is a column of the table, in XML a character of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a file is none of the ECB's.
#[derive(Debug, thiserror::Error)]
pub enum EcbError {
    /// No bytes at all, in the file or in what the ZIP holds.
    #[error("the file is empty")]
    Empty,
    /// The ZIP was cut off, changed, encrypted, or packed in an unknown way.
    #[error("the ZIP is damaged or cut off")]
    DamagedZip {
        /// What the ZIP reader says.
        source: ZipError,
    },
    /// What the ZIP's file unpacks to does not fit its checksum.
    #[error("the ZIP is damaged")]
    DamagedMember {
        /// What the ZIP reader says.
        source: std::io::Error,
    },
    /// The ZIP holds no file, or more than one.
    #[error("the ZIP has {found} files where one is expected")]
    NotOneMember {
        /// How many there are.
        found: usize,
    },
    /// Unpacked it is larger than [`super::UNPACKED_LIMIT`].
    #[error("the ZIP unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Packed with gzip, which the ECB does not use.
    #[error("the file is packed with gzip: send it unpacked, or in a ZIP as the ECB does")]
    Gzip,
    /// Not a text, perhaps a file of another kind.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// Where.
        line: usize,
        /// What is wrong with it.
        source: std::str::Utf8Error,
    },
    /// What a web server says instead of the file: an error, a login.
    #[error("line 1: a web page (HTML) where a file of the ECB is expected")]
    WebPage,
    /// A CSV that does not end in a line end, as the ECB's files do.
    #[error("the file is cut off in line {line}: it does not end in a line end")]
    CutOff {
        /// Where.
        line: usize,
    },
    /// A header of the column `Date` alone.
    #[error("the header names no currency")]
    NoCurrencies,
    /// A header without days.
    #[error("the file has no days after its header")]
    NoDays,
    /// Does not begin as the ECB's files do.
    #[error("line 1, column 1: `{found}` where `Date` is expected")]
    NoDateColumn {
        /// What stands there, shortened to 40 characters.
        found: String,
    },
    /// A day before the first one.
    #[error("{place}: {date} is too early: the ECB's rates begin on {first}")]
    TooEarly {
        /// Where.
        place: Place,
        /// The day.
        date: NaiveDate,
        /// The first that there can be.
        first: NaiveDate,
    },
    /// A day to come.
    #[error("{place}: {date} is a day to come: the ECB's rates go to {last} at most")]
    NotYet {
        /// Where.
        place: Place,
        /// The day.
        date: NaiveDate,
        /// The last that there can be.
        last: NaiveDate,
    },
    /// A line that does not end in a comma, as the header does.
    #[error("line {line} does not end in a comma, as line 1 does")]
    NoLastComma {
        /// Where.
        line: usize,
    },
    /// A line with more or fewer columns than the header.
    #[error("line {line} has {found} columns where {expected} are expected")]
    WrongColumns {
        /// Where.
        line: usize,
        /// How many there are.
        found: usize,
        /// As many as the header has.
        expected: usize,
    },
    /// Not XML. The reader's reason is among those of the XML standard, such as a tag without its end.
    #[error("{place}: not well-formed XML")]
    NotXml {
        /// Where it was noticed.
        place: Place,
        /// What the XML reader says.
        source: quick_xml::Error,
    },
    /// A document type can define entities that unfold without end; the ECB's files have none.
    #[error("{place}: a document type (`<!DOCTYPE`), which no file of the ECB has")]
    DocumentType {
        /// Where.
        place: Place,
    },
    /// The XML ends before the element does.
    #[error("{place}: the file is cut off: it ends within {within}")]
    Unclosed {
        /// Where it ends.
        place: Place,
        /// The element, as the ECB writes it.
        within: &'static str,
    },
    /// Something that is in no XML of the ECB, or not in this place.
    #[error("{place}: {found} where {expected} is expected")]
    Unexpected {
        /// Where.
        place: Place,
        /// What stands there, shortened to 40 characters.
        found: String,
        /// What the ECB writes there.
        expected: &'static str,
    },
    /// An element that says nothing.
    #[error("{place}: {element} without {missing}")]
    MissingFrame {
        /// Where the element begins, or ends.
        place: Place,
        /// The element, as the ECB writes it.
        element: &'static str,
        /// What it should have, as the ECB writes it.
        missing: &'static str,
    },
    /// The name of a column or an element is no currency.
    #[error("{place}: not a currency")]
    UnknownCurrency {
        /// Where.
        place: Place,
        /// Why not.
        source: money::Invalid,
    },
    /// The euro itself.
    #[error("{place}: EUR has no rate: the ECB's rates count units of other currencies for one euro")]
    Euro {
        /// Where.
        place: Place,
    },
    /// A currency that has a column, or a rate of that day, already.
    #[error("{place}: {currency} for the second time")]
    RepeatedCurrency {
        /// Where.
        place: Place,
        /// The currency.
        currency: Currency,
    },
    /// Not a date, or not written as the ECB writes it in this kind of file.
    #[error("{place}: `{found}` is not a date such as {example}")]
    BadDate {
        /// Where.
        place: Place,
        /// What stands there, shortened to 40 characters.
        found: String,
        /// A date as it is written there.
        example: &'static str,
    },
    /// A day that was there already.
    #[error("{place}: {date} for the second time")]
    RepeatedDate {
        /// Where.
        place: Place,
        /// The day.
        date: NaiveDate,
    },
    /// No rate, and in a CSV not `N/A` either.
    #[error("{place}: not a rate of {currency}")]
    BadRate {
        /// Where.
        place: Place,
        /// Of what it should be one.
        currency: Currency,
        /// Why not.
        source: money::Invalid,
    },
}

/// The currency that a column or an element names: any but the euro.
///
/// # Errors
/// [`EcbError::UnknownCurrency`], [`EcbError::Euro`].
pub(super) fn currency(name: &str, place: Place) -> Result<Currency, EcbError> {
    match name.parse() {
        Ok(Currency::EUR) => Err(EcbError::Euro { place }),
        Ok(currency) => Ok(currency),
        Err(source) => Err(EcbError::UnknownCurrency { place, source }),
    }
}

/// So much of a text that an error can quote it.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
