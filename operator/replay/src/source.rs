//! The source of the lines: a file with any name. It is unpacked while it is read.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use calamine::{Reader, Xlsx};
use flate2::bufread::MultiGzDecoder;
use operator_client::Progress;

use crate::file::FileError;
use crate::lines::Lines;
use crate::packing::{FIRST_BYTES, Packing};
use crate::sheet::Sheet;
use crate::workbook::{self, Opened};

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
        let packing = Packing::of(&first)?;
        if packing == Packing::Workbook {
            workbook::check(&file)?;
            file.rewind().map_err(unreadable)?;
        }
        let file = BufReader::new(progress.watch(file));
        let inside = match packing {
            Packing::Plain => Inside::Text(Box::new(file)),
            Packing::Gzip => Inside::Text(Box::new(MultiGzDecoder::new(file))),
            Packing::Zstandard => Inside::Text(Box::new(zstd::Decoder::with_buffer(file).map_err(unreadable)?)),
            Packing::Workbook => Inside::Workbook(Box::new(workbook::open(file)?)),
        };
        Ok(Self { inside, packing, progress })
    }

    /// A CSV in memory.
    #[cfg(test)]
    pub fn of_text(text: &[u8]) -> Self {
        let inside = Inside::Text(Box::new(std::io::Cursor::new(text.to_vec())));
        Self { inside, packing: Packing::Plain, progress: Progress::hidden() }
    }

    /// The packing of the lines.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// The text of the file. It can be read once.
    ///
    /// # Errors
    /// [`FileError::Unknown`] when it is a workbook.
    pub fn text(&mut self) -> Result<&mut dyn Read, FileError> {
        match &mut self.inside {
            Inside::Text(text) => Ok(text),
            Inside::Workbook(_) => Err(FileError::Unknown { found: "a workbook (save it as CSV in UTF-8)".to_owned() }),
        }
    }

    /// The lines of the file. They can be read once.
    ///
    /// # Errors
    /// [`FileError`], also when they have no known form.
    pub fn lines(&mut self) -> Result<Lines<'_>, FileError> {
        match &mut self.inside {
            Inside::Text(text) => Lines::of_text(text, &self.progress),
            Inside::Workbook(book) => {
                let name = book.sheet_names().first().cloned().unwrap_or_default();
                let cells = book.worksheet_cells_reader(&name).map_err(workbook::no_workbook)?;
                Lines::of_sheet(Sheet::new(cells), &self.progress)
            }
        }
    }
}
