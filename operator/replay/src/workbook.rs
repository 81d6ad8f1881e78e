//! A workbook: a ZIP archive with checksums, and the one sheet in it.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader};

use calamine::{Reader, Xlsx};
use indicatif::ProgressBarIter;
use zip::ZipArchive;

use crate::file::FileError;

/// The reader of a workbook.
pub type Opened = BufReader<ProgressBarIter<File>>;

/// Reads every part of a workbook to its end, which verifies its checksum. Reading the cells does not get that far.
///
/// # Errors
/// [`FileError::Damaged`] and [`FileError::Workbook`].
pub fn check(file: &File) -> Result<(), FileError> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(no_workbook)?;
    for place in 0..archive.len() {
        let mut part = archive.by_index(place).map_err(no_workbook)?;
        let name = part.name().map_err(no_workbook)?.into_owned();
        let read = io::copy(&mut part, &mut io::sink());
        read.map_err(|source| FileError::Damaged { part: name, source })?;
    }
    Ok(())
}

/// The workbook in a file, if it has one sheet.
///
/// # Errors
/// [`FileError::Workbook`] and [`FileError::Sheets`].
pub fn open(file: Opened) -> Result<Xlsx<Opened>, FileError> {
    let workbook = Xlsx::new(file).map_err(no_workbook)?;
    match workbook.sheet_names() {
        found if found.len() == 1 => Ok(workbook),
        found => Err(FileError::Sheets { found }),
    }
}

/// The error of a file that cannot be read as a workbook.
pub fn no_workbook(source: impl Into<Box<dyn Error + Send + Sync>>) -> FileError {
    FileError::Workbook { source: source.into() }
}
