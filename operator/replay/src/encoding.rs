//! The encoding of a CSV: UTF-8, or Windows-1252 as in most copies of the original form.
//!
//! Guarantee: a file has one of the two encodings from its first line to its last, or it is refused. The first line
//! that is not ASCII decides: text that is valid UTF-8 is hardly ever anything else. Reading a relative such as Latin-1
//! as Windows-1252 does no harm: the characters in which they differ are not part of any price, number or code that may
//! be sent.

use csv::{ByteRecord, StringRecord};
use encoding_rs::WINDOWS_1252;
use serde::Serialize;

use crate::file::FileError;
use crate::form::Form;

/// The encoding of the characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// UTF-8, or only ASCII.
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1252, which includes nearly all of Latin-1.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// Decodes the lines of one file.
#[derive(Debug, Default)]
pub struct Decoder {
    // `None` while all lines are ASCII.
    told: Option<Encoding>,
}

impl Decoder {
    /// A decoder for a file of this form. The clean form is always UTF-8.
    pub fn of(form: Form) -> Self {
        match form {
            Form::Clean => Self { told: Some(Encoding::Utf8) },
            Form::Original => Self { told: None },
        }
    }

    /// The encoding of the lines decoded so far.
    pub fn encoding(&self) -> Encoding {
        self.told.unwrap_or(Encoding::Utf8)
    }

    /// Decodes a line.
    ///
    /// # Errors
    /// [`FileError::Encoding`] when it is not in the encoding of the lines before it, or in neither of the two.
    pub fn decoded(&mut self, bytes: ByteRecord, line: u64) -> Result<StringRecord, FileError> {
        if bytes.as_slice().is_ascii() {
            return StringRecord::from_byte_record(bytes).map_err(|_| wrong(line, "ASCII"));
        }
        match (self.told, StringRecord::from_byte_record(bytes)) {
            (None | Some(Encoding::Utf8), Ok(text)) => {
                self.told = Some(Encoding::Utf8);
                Ok(text)
            }
            (Some(Encoding::Utf8), Err(_)) => Err(wrong(line, "UTF-8 like the rest of the file")),
            (None | Some(Encoding::Windows1252), Err(error)) => {
                self.told = Some(Encoding::Windows1252);
                let text = windows_1252(&error.into_byte_record());
                text.ok_or_else(|| wrong(line, "UTF-8 or Windows-1252 (Latin-1); save all as UTF-8"))
            }
            (Some(Encoding::Windows1252), Ok(_)) => {
                Err(wrong(line, "Windows-1252 (Latin-1) like the lines before it, but UTF-8; save all as UTF-8"))
            }
        }
    }
}

/// `None` if there is a byte that this encoding does not define.
fn windows_1252(bytes: &ByteRecord) -> Option<StringRecord> {
    let mut text = StringRecord::with_capacity(2 * bytes.as_slice().len(), bytes.len());
    for field in bytes {
        let (field, _) = WINDOWS_1252.decode_without_bom_handling(field);
        if field.chars().any(|char| ('\u{80}'..='\u{9f}').contains(&char)) {
            return None;
        }
        text.push_field(&field);
    }
    Some(text)
}

fn wrong(line: u64, expected: &'static str) -> FileError {
    FileError::Encoding { line, expected }
}
