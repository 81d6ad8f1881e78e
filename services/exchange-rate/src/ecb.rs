//! The European Central Bank's files of reference rates, in all forms that it publishes.
//!
//! | form | its first bytes | in |
//! |---|---|---|
//! | the history, a CSV | `Date,USD,` | `history.rs` |
//! | one day, a CSV | `Date, USD, ` | `daily.rs` |
//! | one day, 90 days or the history, XML | `<` | `xml.rs` |
//! | any of these in a ZIP | `PK` | `packed.rs` |
//!
//! The form is detected from the content, not from names and headers. A text may begin with a byte order mark.
//!
//! Guarantee: all of a file or none of it. A file that was cut off, damaged or changed in its form is an error that
//! says where. Only a CSV cut exactly at the end of a line cannot be told from a shorter history; the ZIP, which has a
//! checksum, and the XML, which has an end, can.

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

/// The history that comes with the program, as the ECB published it: see `data/README.md`.
pub const BUILT_IN: &[u8] = include_bytes!("../data/eurofxref-hist.zip");

/// What editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// How a file that is packed with gzip begins (RFC 1952 §2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Reads a file of the ECB, whatever its form. It has no day after the last one.
///
/// # Errors
/// Any [`EcbError`]; nothing of the file is returned then.
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

/// Web servers answer with a page where there is no file.
fn is_web_page(text: &str) -> bool {
    let begins = |with: &str| text.trim_start().get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins("<!doctype html") || begins("<html")
}

#[cfg(test)]
mod tests;
