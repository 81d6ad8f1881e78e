//! The source of the lines: a file with any name. Its first bytes determine its packing.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use calamine::{Reader, Xlsx};
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBarIter;
use serde::Serialize;
use zip::ZipArchive;

use super::encoding::Encoding;
use super::file::FileError;
use super::form::Form;
use super::lines::Lines;
use super::progress::Progress;
use super::sheet::Sheet;

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
const FIRST_BYTES: u64 = 16;

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

/// The detected format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// The form of the lines.
    pub form: Form,
    /// The packing of the lines.
    pub packing: Packing,
    /// The encoding of the characters.
    pub encoding: Encoding,
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Clean => "the clean form",
            Form::Original => "the original form",
        };
        let packing = match self.packing {
            Packing::Plain => "CSV",
            Packing::Gzip => "CSV in gzip",
            Packing::Zstandard => "CSV in Zstandard",
            Packing::Workbook => "workbook",
        };
        let encoding = match self.encoding {
            Encoding::Utf8 => "",
            Encoding::Windows1252 => ", in Windows-1252",
        };
        write!(f, "{form}, {packing}{encoding}")
    }
}

/// The reader of a workbook.
pub type Opened = BufReader<ProgressBarIter<File>>;

/// An open file.
pub struct SourceFile {
    inside: Inside,
    packing: Packing,
    progress: Progress,
}

enum Inside {
    Text(Box<dyn Read + Send>),
    Workbook(Box<Xlsx<Opened>>),
}

impl SourceFile {
    /// Opens a file and detects its packing. The progress of reading is shown as `progress`.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path, progress: Progress) -> Result<Self, FileError> {
        let mut file = File::open(path).map_err(|source| FileError::Open { source })?;
        let unreadable = |source| FileError::Read { line: 0, source };
        let mut first = Vec::new();
        file.by_ref().take(FIRST_BYTES).read_to_end(&mut first).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let packing = packing(&first)?;
        if packing == Packing::Workbook {
            check(&file)?;
            file.rewind().map_err(unreadable)?;
        }
        let file = BufReader::new(progress.watch(file));
        let inside = match packing {
            Packing::Plain => Inside::Text(Box::new(file)),
            Packing::Gzip => Inside::Text(Box::new(MultiGzDecoder::new(file))),
            Packing::Zstandard => Inside::Text(Box::new(zstd::Decoder::with_buffer(file).map_err(unreadable)?)),
            Packing::Workbook => Inside::Workbook(Box::new(workbook(file)?)),
        };
        Ok(Self { inside, packing, progress })
    }

    /// A CSV in memory.
    #[cfg(test)]
    pub fn of_text(text: &[u8]) -> Self {
        let inside = Inside::Text(Box::new(io::Cursor::new(text.to_vec())));
        Self { inside, packing: Packing::Plain, progress: Progress::hidden() }
    }

    /// The packing of the lines.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// The lines of the file. They can be read once.
    ///
    /// # Errors
    /// [`FileError`], also when they have no known form.
    pub fn lines(&mut self) -> Result<Lines<'_>, FileError> {
        match &mut self.inside {
            Inside::Text(text) => Lines::of_text(text, &self.progress),
            Inside::Workbook(workbook) => {
                let name = workbook.sheet_names().first().cloned().unwrap_or_default();
                let cells = workbook.worksheet_cells_reader(&name).map_err(no_workbook)?;
                Lines::of_sheet(Sheet::new(cells), &self.progress)
            }
        }
    }
}

fn packing(first: &[u8]) -> Result<Packing, FileError> {
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(FileError::Unknown { found: (*what).to_owned() });
    }
    let known = PACKINGS.iter().find(|(magic, _)| first.starts_with(magic));
    Ok(known.map_or(Packing::Plain, |(_, packing)| *packing))
}

/// Reads every part of a workbook to its end, which verifies its checksum. Reading the cells does not get that far.
fn check(file: &File) -> Result<(), FileError> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(no_workbook)?;
    for place in 0..archive.len() {
        let mut part = archive.by_index(place).map_err(no_workbook)?;
        let name = part.name().map_err(no_workbook)?.into_owned();
        let read = io::copy(&mut part, &mut io::sink());
        read.map_err(|source| FileError::Damaged { part: name, source })?;
    }
    Ok(())
}

fn workbook(file: Opened) -> Result<Xlsx<Opened>, FileError> {
    let workbook = Xlsx::new(file).map_err(no_workbook)?;
    match workbook.sheet_names() {
        found if found.len() == 1 => Ok(workbook),
        found => Err(FileError::Sheets { found }),
    }
}

fn no_workbook(source: impl Into<Box<dyn Error + Send + Sync>>) -> FileError {
    FileError::Workbook { source: source.into() }
}
