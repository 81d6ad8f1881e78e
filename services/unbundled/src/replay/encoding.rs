//! The encoding of a CSV: UTF-8, or Windows-1252 as in most copies of the original form.
//!
//! Guarantee: a file is in one of the two from its first line to its last, or it is refused. The first line that is not
//! ASCII tells which: what is valid UTF-8 is hardly ever anything else. Taking Windows-1252 for its relatives (Latin-1)
//! can do no harm: where they differ from each other is neither a price nor a number nor a code that may be sent.

use csv::{ByteRecord, StringRecord};
use encoding_rs::WINDOWS_1252;
use serde::Serialize;

use super::file::FileError;
use super::form::Form;

/// How characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// UTF-8, or ASCII alone.
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1252, of which Latin-1 is nearly a part.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// Reads one file's characters.
#[derive(Debug, Default)]
pub struct Decoder {
    // None as long as all is ASCII.
    told: Option<Encoding>,
}

impl Decoder {
    /// For a file of this form: the clean form is UTF-8.
    pub fn of(form: Form) -> Self {
        match form {
            Form::Clean => Self { told: Some(Encoding::Utf8) },
            Form::Original => Self { told: None },
        }
    }

    /// The encoding, as far as has been read.
    pub fn encoding(&self) -> Encoding {
        self.told.unwrap_or(Encoding::Utf8)
    }

    /// The line as text.
    ///
    /// # Errors
    /// [`FileError::Encoding`] when it is not in the encoding of the lines before it, or in none of the two.
    pub fn decoded(&mut self, bytes: ByteRecord, line: u64) -> Result<StringRecord, FileError> {
        if bytes.as_slice().is_ascii() {
            return StringRecord::from_byte_record(bytes).map_err(|_| wrong(line, "ASCII"));
        }
        match (self.told, StringRecord::from_byte_record(bytes)) {
            (None | Some(Encoding::Utf8), Ok(text)) => {
                self.told = Some(Encoding::Utf8);
                Ok(text)
            }
            (Some(Encoding::Utf8), Err(_)) => Err(wrong(line, "UTF-8, as the file is otherwise")),
            (None | Some(Encoding::Windows1252), Err(error)) => {
                self.told = Some(Encoding::Windows1252);
                let text = windows_1252(&error.into_byte_record());
                text.ok_or_else(|| wrong(line, "UTF-8, nor Windows-1252 (Latin-1); save all as UTF-8"))
            }
            (Some(Encoding::Windows1252), Ok(_)) => {
                Err(wrong(line, "Windows-1252 (Latin-1), as the lines before it are, but UTF-8; save all as UTF-8"))
            }
        }
    }
}

/// None when there is a byte that this encoding does not have.
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
