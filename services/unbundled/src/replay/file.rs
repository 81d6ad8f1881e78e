//! The file: where it comes from, and what can be wrong with it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use csv::{ErrorKind, StringRecord};

/// The columns of the clean form, as its first line names them.
pub const COLUMNS: [&str; 10] = [
    "line",
    "invoice",
    "kind",
    "stock_code",
    "description",
    "quantity",
    "invoiced_at",
    "unit_price_gbp",
    "customer_id",
    "country",
];

/// What a file of Zstandard frames begins with (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Why a file cannot be replayed. Lines count from 1, with the header.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Cannot be opened.
    #[error("it cannot be opened")]
    Open {
        /// Why.
        source: io::Error,
    },
    /// No bytes at all.
    #[error("it is empty")]
    Empty,
    /// Named so, but of another form.
    #[error("its name ends in .zst, but it is not compressed with Zstandard")]
    NotZstd,
    /// Cannot be read, or its compressed form is cut off or damaged.
    #[error("it cannot be read, or is damaged or cut off, after line {line}")]
    Read {
        /// The last line that could be read.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// Not a text.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// Where.
        line: u64,
    },
    /// Another form than the clean one.
    #[error("line 1, column {column}: `{found}` where `{expected}` is expected")]
    Header {
        /// Where.
        column: usize,
        /// What stands there, shortened.
        found: String,
        /// What the clean form has there.
        expected: &'static str,
    },
    /// More or fewer columns than there are.
    #[error("line {line} has {found} columns where {} are expected", COLUMNS.len())]
    Columns {
        /// Where.
        line: u64,
        /// How many there are.
        found: u64,
    },
    /// A value that cannot be.
    #[error("line {line}, {column}: `{found}` {why}")]
    Value {
        /// Where.
        line: u64,
        /// The column's name.
        column: &'static str,
        /// What stands there, shortened.
        found: String,
        /// What is wrong with it.
        why: String,
    },
    /// The lines of an invoice do not go together.
    #[error("line {line}: invoice {invoice} {why}")]
    Invoice {
        /// Where.
        line: u64,
        /// Which.
        invoice: String,
        /// What is wrong.
        why: String,
    },
    /// The last line has no end.
    #[error("it is cut off in line {line}, which has no line end")]
    CutOff {
        /// Where.
        line: u64,
    },
    /// Read for the second time it says something else.
    #[error("line {line}: the file was changed while it was replayed")]
    Changed {
        /// Where.
        line: u64,
    },
}

/// The lines of a file, one after another.
pub struct Lines {
    reader: csv::Reader<Tail<Box<dyn Read + Send>>>,
    line: u64,
}

impl Lines {
    /// Opens a file of the clean form, plain or as Zstandard, and reads its header. Its first bytes tell which.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut file = File::open(path).map_err(|source| FileError::Open { source })?;
        let mut first = Vec::new();
        let read = file.by_ref().take(4).read_to_end(&mut first);
        read.map_err(|source| FileError::Read { line: 0, source })?;
        let whole = first_again(&first, file);
        if first == ZSTD_MAGIC {
            let decoder = zstd::Decoder::new(whole).map_err(|source| FileError::Read { line: 0, source })?;
            return Self::of(Box::new(decoder));
        }
        if path.extension().is_some_and(|extension| extension == "zst") && !first.is_empty() {
            return Err(FileError::NotZstd);
        }
        Self::of(Box::new(whole))
    }

    /// The same of any text.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn of(text: Box<dyn Read + Send>) -> Result<Self, FileError> {
        let tail = Tail { inner: text, last: None };
        let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(tail);
        let mut lines = Self { reader, line: 0 };
        let mut header = StringRecord::new();
        if lines.next(&mut header)?.is_none() {
            return Err(FileError::Empty);
        }
        for (place, expected) in COLUMNS.into_iter().enumerate() {
            let found = header.get(place).unwrap_or_default();
            if found != expected {
                return Err(FileError::Header { column: place + 1, found: shortened(found), expected });
            }
        }
        if header.len() > COLUMNS.len() {
            return Err(FileError::Columns { line: 1, found: header.len() as u64 });
        }
        Ok(lines)
    }

    /// Reads the next line into `record` and says its number; none after the last.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next(&mut self, record: &mut StringRecord) -> Result<Option<u64>, FileError> {
        let more = self.reader.read_record(record).map_err(|error| self.explained(error))?;
        if more {
            self.line = record.position().map_or(self.line + 1, csv::Position::line);
        }
        match self.reader.get_ref().last {
            Some(last) if last != b'\n' && self.reader.is_done() => Err(FileError::CutOff { line: self.line }),
            Some(_) | None => Ok(more.then_some(self.line)),
        }
    }

    fn explained(&self, error: csv::Error) -> FileError {
        let line = error.position().map_or(self.line + 1, csv::Position::line);
        match error.into_kind() {
            ErrorKind::Io(source) => FileError::Read { line: self.line, source },
            ErrorKind::Utf8 { .. } => FileError::NotUtf8 { line },
            ErrorKind::UnequalLengths { len, .. } => FileError::Columns { line, found: len },
            other => FileError::Read { line: self.line, source: io::Error::other(format!("{other:?}")) },
        }
    }
}

fn first_again(first: &[u8], rest: File) -> BufReader<impl Read + Send + use<>> {
    BufReader::new(io::Cursor::new(first.to_vec()).chain(rest))
}

/// Passes bytes on and remembers the last.
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

/// So much of a text that an error can quote it.
pub fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
