//! Parser for the reference rate files of the European Central Bank (ECB), in all formats that it publishes.
//!
//! | format | first bytes | module |
//! |---|---|---|
//! | CSV of the history | `Date,USD,` | `history.rs` |
//! | CSV of one day | `Date, USD, ` | `daily.rs` |
//! | XML of one day, 90 days or the history | `<` | `xml.rs` |
//! | ZIP with any of these | `PK` | `packed.rs` |
//!
//! The parser detects the format from the content, not from names and headers. A text may begin with a byte order mark.
//!
//! The result is the whole file or an error with the place. A file that is cut off, damaged or of a changed format is
//! an error. The one exception is a CSV that is cut off exactly at the end of a line: it looks like a shorter history.
//! A ZIP, which has a checksum, and an XML file, which has an end tag, do not have this exception.

mod csv;
mod daily;
mod days;
mod error;
mod history;
mod packed;
mod xml;

pub use days::{Day, History};
pub use error::{EcbError, Place};
pub use packed::UNPACKED_LIMIT;

use chrono::NaiveDate;

/// The history that is part of the program, as the ECB published it: see `data/README.md`.
pub const BUILT_IN: &[u8] = include_bytes!("../data/eurofxref-hist.zip");

/// The UTF-8 byte order mark, which some editors write before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The first bytes of a gzip file (RFC 1952 §2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Parses a file of the ECB in any format. `last` is the last day that the file may contain.
///
/// # Errors
/// Any [`EcbError`].
pub fn parse(file: &[u8], last: NaiveDate) -> Result<History, EcbError> {
    if packed::is_packed(file) { parse_unpacked(&packed::unpack(file)?, last) } else { parse_unpacked(file, last) }
}

fn parse_unpacked(file: &[u8], last: NaiveDate) -> Result<History, EcbError> {
    if file.starts_with(GZIP) {
        return Err(EcbError::Gzip);
    }
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let text = str::from_utf8(file).map_err(|source| {
        let line = 1 + file[..source.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        EcbError::NotUtf8 { line, source }
    })?;
    if is_web_page(text) {
        Err(EcbError::WebPage)
    } else if xml::is_xml(text) {
        xml::parse(text, last)
    } else if daily::is_daily(text) {
        daily::DAILY.parse(text, last)
    } else {
        history::HISTORY.parse(text, last)
    }
}

/// Whether the text is HTML, which web servers send instead of a file that does not exist.
fn is_web_page(text: &str) -> bool {
    let begins = |with: &str| text.trim_start().get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins("<!doctype html") || begins("<html")
}

#[cfg(test)]
mod tests;
