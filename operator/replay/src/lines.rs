//! The lines of a file, one after another, in any packing.

use std::io::{self, Read};
use std::mem;

use csv::{ByteRecord, ErrorKind, StringRecord};
use operator_client::Progress;

use crate::encoding::{Decoder, Encoding};
use crate::file::FileError;
use crate::form::Form;
use crate::place::Place;
use crate::sheet::Sheet;

/// The lines of a file.
pub struct Lines<'a> {
    rows: Rows<'a>,
    form: Form,
    progress: &'a Progress,
    place: Place,
}

enum Rows<'a> {
    Text(Text<'a>),
    Sheet(Box<Sheet<'a>>),
}

impl<'a> Lines<'a> {
    /// The lines of a CSV.
    ///
    /// # Errors
    /// [`FileError`], also when its header has no known form.
    pub fn of_text(text: &'a mut (dyn Read + Send), progress: &'a Progress) -> Result<Self, FileError> {
        Self::begin(Rows::Text(Text::new(text)), progress)
    }

    /// The lines of a sheet.
    ///
    /// # Errors
    /// [`FileError`], also when its header has no known form.
    pub fn of_sheet(sheet: Sheet<'a>, progress: &'a Progress) -> Result<Self, FileError> {
        Self::begin(Rows::Sheet(Box::new(sheet)), progress)
    }

    fn begin(mut rows: Rows<'a>, progress: &'a Progress) -> Result<Self, FileError> {
        let mut header = StringRecord::new();
        let there = match &mut rows {
            Rows::Text(text) => text.header(&mut header)?,
            Rows::Sheet(sheet) => sheet.next(&mut header)?.is_some(),
        };
        if !there {
            return Err(FileError::Empty);
        }
        let form = Form::of(&header)?;
        match &mut rows {
            Rows::Text(text) => text.decoder = Decoder::of(form),
            Rows::Sheet(sheet) => sheet.columns = Some(form.columns()),
        }
        Ok(Self { rows, form, progress, place: Place { line: 1, number: 0, form } })
    }

    /// The form of the lines.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The encoding of the lines read so far.
    pub fn encoding(&self) -> Encoding {
        match &self.rows {
            Rows::Text(text) => text.decoder.encoding(),
            Rows::Sheet(_) => Encoding::Utf8,
        }
    }

    /// Reads the next line into `record` and returns its place; `None` after the last.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next(&mut self, record: &mut StringRecord) -> Result<Option<Place>, FileError> {
        let line = match &mut self.rows {
            Rows::Text(text) => text.next(record)?,
            Rows::Sheet(sheet) => sheet.next(record)?,
        };
        let Some(line) = line else { return Ok(None) };
        self.place = Place { line, number: self.place.number + 1, ..self.place };
        self.progress.lines(self.place.number);
        Ok(Some(self.place))
    }
}

/// The lines of a CSV.
struct Text<'a> {
    reader: csv::Reader<Tail<&'a mut (dyn Read + Send)>>,
    decoder: Decoder,
    line: u64,
    // The number of lines that the reader does not count: where lines end in CR and LF, the LF begins the next record.
    uncounted: u64,
}

impl<'a> Text<'a> {
    fn new(inner: &'a mut (dyn Read + Send)) -> Self {
        let tail = Tail { inner, last: None };
        let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(tail);
        Self { reader, decoder: Decoder::default(), line: 0, uncounted: 0 }
    }

    /// Reads the first line, which may have any content.
    fn header(&mut self, header: &mut StringRecord) -> Result<bool, FileError> {
        let mut bytes = ByteRecord::new();
        let more = self.reader.read_byte_record(&mut bytes).map_err(|error| self.explained(error))?;
        if !more {
            return Ok(false);
        }
        self.line = 1;
        self.uncounted = 2_u64.saturating_sub(self.reader.position().line());
        *header = StringRecord::from_byte_record_lossy(bytes);
        Form::of(header)?;
        self.whole().map(|()| true)
    }

    fn next(&mut self, record: &mut StringRecord) -> Result<Option<u64>, FileError> {
        // Taken out and put back, so that its memory is reused.
        let mut bytes = mem::take(record).into_byte_record();
        let more = self.reader.read_byte_record(&mut bytes).map_err(|error| self.explained(error))?;
        if more {
            self.line = self.line_at(bytes.position());
        }
        *record = self.decoder.decoded(bytes, self.line)?;
        self.whole()?;
        Ok(more.then_some(self.line))
    }

    /// Checks that the last line read has a line end.
    fn whole(&self) -> Result<(), FileError> {
        match self.reader.get_ref().last {
            Some(last) if last != b'\n' && self.reader.is_done() => Err(FileError::CutOff { line: self.line }),
            Some(_) | None => Ok(()),
        }
    }

    fn line_at(&self, position: Option<&csv::Position>) -> u64 {
        position.map_or(self.line + 1, |position| position.line() + self.uncounted)
    }

    fn explained(&self, error: csv::Error) -> FileError {
        let line = self.line_at(error.position());
        match error.into_kind() {
            ErrorKind::Io(source) => FileError::Read { line: self.line, source },
            ErrorKind::UnequalLengths { len, expected_len, .. } => {
                let expected = usize::try_from(expected_len).unwrap_or(usize::MAX);
                FileError::Columns { line, found: len, expected }
            }
            other => FileError::Read { line: self.line, source: io::Error::other(format!("{other:?}")) },
        }
    }
}

/// Passes bytes on and remembers the last one.
struct Tail<R> {
    inner: R,
    last: Option<u8>,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.last = buffer[..count].last().copied().or(self.last);
        Ok(count)
    }
}
