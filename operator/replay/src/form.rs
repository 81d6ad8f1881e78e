//! The two forms of the data, and which of them a header has.

use csv::StringRecord;
use serde::Serialize;

use crate::columns::{CLEAN, Columns, ORIGINAL};
use crate::file::{FileError, shortened};

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// With line numbers, kinds and ISO 8601 times.
    Clean,
    /// As in the UCI Machine Learning Repository.
    Original,
}

impl Form {
    /// The columns of this form.
    pub fn columns(self) -> &'static Columns {
        match self {
            Self::Clean => &CLEAN,
            Self::Original => &ORIGINAL,
        }
    }

    /// The form that has this header.
    ///
    /// # Errors
    /// [`FileError::Unknown`] when it begins like no form, [`FileError::Header`] and [`FileError::Columns`] when it
    /// begins like one but continues differently.
    pub fn of(header: &StringRecord) -> Result<Self, FileError> {
        let first = header.get(0).unwrap_or_default();
        let begins = |form: &Self| form.columns().names.first().is_some_and(|name| *name == first);
        let Some(form) = [Self::Clean, Self::Original].into_iter().find(begins) else {
            return Err(FileError::unknown(&header.iter().collect::<Vec<_>>().join(",")));
        };
        let names = form.columns().names;
        for (place, expected) in names.iter().copied().enumerate() {
            let found = header.get(place).unwrap_or_default();
            if found != expected {
                return Err(FileError::Header { column: place + 1, found: shortened(found), expected });
            }
        }
        if header.len() > names.len() {
            return Err(FileError::Columns { line: 1, found: header.len() as u64, expected: names.len() });
        }
        Ok(form)
    }
}
