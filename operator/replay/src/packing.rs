//! The packing of a file, detected from its first bytes.

use serde::Serialize;

use crate::file::FileError;

/// The first bytes of each packing: RFC 1952 (2.3.1), RFC 8878 (3.1.1), and PKWARE's APPNOTE (4.3.7) for the ZIP
/// archive that a workbook is.
const PACKINGS: [(&[u8], Packing); 3] = [
    (&[0x1F, 0x8B], Packing::Gzip),
    (&[0x28, 0xB5, 0x2F, 0xFD], Packing::Zstandard),
    (b"PK\x03\x04", Packing::Workbook),
];

/// The first bytes of other files that people may try, with what they are and what to do.
const OTHERS: [(&[u8], &str); 4] = [
    (&[0xFF, 0xFE], "UTF-16 text (save it as CSV in UTF-8)"),
    (&[0xFE, 0xFF], "UTF-16 text (save it as CSV in UTF-8)"),
    (&[0xD0, 0xCF, 0x11, 0xE0], "an old workbook, or one with a password (save it as .xlsx, without a password)"),
    (b"SQLite format 3", "an SQLite database"),
];

/// The number of bytes to look at: more than any of these.
pub const FIRST_BYTES: u64 = 16;

/// The packing of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Packing {
    /// Not packed.
    #[serde(rename = "csv")]
    Plain,
    /// Gzip.
    #[serde(rename = "csv.gz")]
    Gzip,
    /// Zstandard.
    #[serde(rename = "csv.zst")]
    Zstandard,
    /// An Excel workbook.
    #[serde(rename = "xlsx")]
    Workbook,
}

impl Packing {
    /// The packing of a file with these first bytes.
    ///
    /// # Errors
    /// [`FileError::Unknown`] when they are those of something else.
    pub fn of(first: &[u8]) -> Result<Self, FileError> {
        if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
            return Err(FileError::Unknown { found: (*what).to_owned() });
        }
        let known = PACKINGS.iter().find(|(magic, _)| first.starts_with(magic));
        Ok(known.map_or(Self::Plain, |(_, packing)| *packing))
    }
}
