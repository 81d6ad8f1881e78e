//! The errors of parsing, with the place in the file.

use std::fmt;

use chrono::NaiveDate;
use money::Currency;
use zip::result::ZipError;

/// A place in a file; line and column count from 1. In a CSV file, a column is a column of the table; in XML, it is a
/// character of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a file cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub enum EcbError {
    /// The file, or the file in the ZIP, has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The ZIP is cut off, changed, encrypted, or compressed with an unsupported method.
    #[error("the ZIP is damaged or cut off")]
    DamagedZip {
        /// The error of the ZIP library.
        source: ZipError,
    },
    /// The unpacked file does not match its checksum in the ZIP.
    #[error("the ZIP is damaged")]
    DamagedMember {
        /// The error of the ZIP library.
        source: std::io::Error,
    },
    /// The ZIP holds no file, or more than one.
    #[error("the ZIP has {found} files where one is expected")]
    NotOneMember {
        /// The number of files.
        found: usize,
    },
    /// The unpacked file is larger than [`super::UNPACKED_LIMIT`].
    #[error("the ZIP unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is compressed with gzip, which the ECB does not use.
    #[error("the file is packed with gzip: send it unpacked, or in a ZIP as the ECB does")]
    Gzip,
    /// The file is not text; it may be a file of another kind.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// The first line that is not UTF-8.
        line: usize,
        /// The error of the decoder.
        source: std::str::Utf8Error,
    },
    /// The file is a web page, such as an error page or a login page of a web server.
    #[error("line 1: a web page (HTML) where an ECB file is expected")]
    WebPage,
    /// The last line of the CSV has no line break. The ECB's files have one.
    #[error("the file is cut off in line {line}: the line break at its end is missing")]
    CutOff {
        /// The last line.
        line: usize,
    },
    /// The header has only the column `Date`.
    #[error("the header names no currency")]
    NoCurrencies,
    /// The file has a header but no days.
    #[error("the file has no days after its header")]
    NoDays,
    /// The file does not begin with the column `Date`.
    #[error("line 1, column 1: `{found}` where `Date` is expected")]
    NoDateColumn {
        /// The text there, shortened to 40 characters.
        found: String,
    },
    /// The day is before the first day of the ECB's rates.
    #[error("{place}: {date} is too early: the ECB's rates begin on {first}")]
    TooEarly {
        /// The place of the day.
        place: Place,
        /// The day.
        date: NaiveDate,
        /// The first allowed day.
        first: NaiveDate,
    },
    /// The day is after the last allowed day.
    #[error("{place}: {date} is too late: the last allowed day is {last}")]
    NotYet {
        /// The place of the day.
        place: Place,
        /// The day.
        date: NaiveDate,
        /// The last allowed day.
        last: NaiveDate,
    },
    /// The line does not end with a comma, but the header does.
    #[error("line {line} does not end with a comma, but line 1 does")]
    NoLastComma {
        /// The line.
        line: usize,
    },
    /// The line has more or fewer columns than the header.
    #[error("line {line} has {found} columns where {expected} are expected")]
    WrongColumns {
        /// The line.
        line: usize,
        /// The number of columns of the line.
        found: usize,
        /// The number of columns of the header.
        expected: usize,
    },
    /// The file is not well-formed XML, for example because a tag has no end.
    #[error("{place}: not well-formed XML")]
    NotXml {
        /// The place where the parser noticed it.
        place: Place,
        /// The error of the XML library.
        source: quick_xml::Error,
    },
    /// The file has a document type, which can define entities that expand without limit. The ECB's files have none.
    #[error("{place}: a document type (`<!DOCTYPE`), which ECB files do not have")]
    DocumentType {
        /// The place of the document type.
        place: Place,
    },
    /// The XML ends before the element does.
    #[error("{place}: the file is cut off: it ends within {within}")]
    Unclosed {
        /// The end of the file.
        place: Place,
        /// The element, as the ECB writes it.
        within: &'static str,
    },
    /// The XML has a part that ECB files do not have at this place.
    #[error("{place}: {found} where {expected} is expected")]
    Unexpected {
        /// The place of the part.
        place: Place,
        /// The text there, shortened to 40 characters.
        found: String,
        /// The part that the ECB writes there.
        expected: &'static str,
    },
    /// A required part of an element is missing.
    #[error("{place}: {element} without {missing}")]
    MissingPart {
        /// The beginning or the end of the element.
        place: Place,
        /// The element, as the ECB writes it.
        element: &'static str,
        /// The missing part, as the ECB writes it.
        missing: &'static str,
    },
    /// The name of a column or an element is not a currency.
    #[error("{place}: not a currency")]
    UnknownCurrency {
        /// The place of the name.
        place: Place,
        /// The reason.
        source: money::Invalid,
    },
    /// The file has a rate of the euro itself.
    #[error("{place}: EUR has no rate: the ECB's rates count units of other currencies for one euro")]
    Euro {
        /// The place of the currency.
        place: Place,
    },
    /// The currency already has a column, or a rate of that day.
    #[error("{place}: {currency} is given twice")]
    RepeatedCurrency {
        /// The place of the second one.
        place: Place,
        /// The currency.
        currency: Currency,
    },
    /// The text is not a date, or not one in the date format of this file format.
    #[error("{place}: `{found}` is not a date such as {example}")]
    BadDate {
        /// The place of the text.
        place: Place,
        /// The text, shortened to 40 characters.
        found: String,
        /// An example in the expected format.
        example: &'static str,
    },
    /// The file already has this day.
    #[error("{place}: {date} is given twice")]
    RepeatedDate {
        /// The place of the second one.
        place: Place,
        /// The day.
        date: NaiveDate,
    },
    /// The text is not a rate, and in a CSV not `N/A` either.
    #[error("{place}: not a rate of {currency}")]
    BadRate {
        /// The place of the text.
        place: Place,
        /// The currency of the rate.
        currency: Currency,
        /// The reason.
        source: money::Invalid,
    },
}

/// Parses the currency of a column or an element: any currency except the euro.
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

/// The first 40 characters of a text, for an error message.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
