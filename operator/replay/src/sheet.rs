//! The sheet of a workbook, row by row. Only its texts are in memory, each once.
//!
//! A number becomes the shortest decimal that represents it: Excel stores the price 2.55 as the nearest binary number,
//! and 2.55 is the shortest of all decimals with this nearest binary number.

use std::borrow::Cow;
use std::io;

use calamine::{Cell, DataRef, ExcelDateTime, XlsxCellReader, XlsxError};
use csv::StringRecord;

use crate::columns::Columns;
use crate::file::FileError;
use crate::workbook::Opened;

/// The rows of a sheet, as texts.
pub struct Sheet<'a> {
    cells: XlsxCellReader<'a, Opened>,
    // The first cell of the next row.
    ahead: Option<Cell<DataRef<'a>>>,
    line: u64,
    ended: bool,
    /// The columns that the header names; `None` before it is read.
    pub columns: Option<&'static Columns>,
}

impl<'a> Sheet<'a> {
    /// All rows that have a cell that is not empty.
    pub fn new(cells: XlsxCellReader<'a, Opened>) -> Self {
        Self { cells, ahead: None, line: 0, ended: false, columns: None }
    }

    /// Reads the next row into `record` and returns its number, from 1; `None` after the last.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next(&mut self, record: &mut StringRecord) -> Result<Option<u64>, FileError> {
        record.clear();
        let Some(first) = self.cell()? else { return Ok(None) };
        let row = first.get_position().0;
        let line = u64::from(row) + 1;
        if line <= self.line {
            return Err(FileError::Disorder { line });
        }
        self.line = line;
        self.add(&first, record)?;
        while let Some(cell) = self.cell()? {
            if cell.get_position().0 != row {
                self.ahead = Some(cell);
                break;
            }
            self.add(&cell, record)?;
        }
        self.fill(record);
        Ok(Some(line))
    }

    /// The next cell that is not empty.
    fn cell(&mut self) -> Result<Option<Cell<DataRef<'a>>>, FileError> {
        if self.ahead.is_some() {
            return Ok(self.ahead.take());
        }
        // Do not call the reader again after its last cell: it would not notice that it has passed the end.
        while !self.ended {
            let cell = self.cells.next_cell().map_err(|error| self.unreadable(error))?;
            self.ended = cell.is_none();
            if cell.as_ref().is_some_and(|cell| *cell.get_value() != DataRef::Empty) {
                return Ok(cell);
            }
        }
        Ok(None)
    }

    fn add(&self, cell: &Cell<DataRef<'a>>, record: &mut StringRecord) -> Result<(), FileError> {
        let place = cell.get_position().1 as usize;
        if place < record.len() {
            return Err(FileError::Disorder { line: self.line });
        }
        let names = self.columns.map_or(&[][..], |columns| columns.names);
        if place >= names.len() && self.columns.is_some() {
            let found = place as u64 + 1;
            return Err(FileError::Columns { line: self.line, found, expected: names.len() });
        }
        while record.len() < place {
            record.push_field("");
        }
        let text = text(cell.get_value());
        if let (DataRef::Error(_), Some(columns)) = (cell.get_value(), self.columns)
            && place != columns.description
        {
            let why = "is an error of the sheet where a value is expected".to_owned();
            let column = names.get(place).copied().unwrap_or_default();
            return Err(FileError::Value { line: self.line, column, found: text.into_owned(), why });
        }
        record.push_field(&text);
        Ok(())
    }

    /// Adds the empty cells that may be missing at the end of a row.
    fn fill(&self, record: &mut StringRecord) {
        let expected = self.columns.map_or(0, |columns| columns.names.len());
        while record.len() < expected {
            record.push_field("");
        }
    }

    fn unreadable(&self, error: XlsxError) -> FileError {
        FileError::Read { line: self.line, source: io::Error::other(error) }
    }
}

fn text<'a>(value: &'a DataRef<'_>) -> Cow<'a, str> {
    match value {
        DataRef::Int(number) => number.to_string().into(),
        // Rust shows the shortest decimal that parses to the same number, without an exponent.
        DataRef::Float(number) => number.to_string().into(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.into(),
        DataRef::SharedString(text) => (*text).into(),
        DataRef::Bool(yes) => if *yes { "TRUE" } else { "FALSE" }.into(),
        DataRef::DateTime(time) => iso_8601(*time).into(),
        DataRef::Error(error) => error.to_string().into(),
        DataRef::Empty => "".into(),
    }
}

/// Rounded to the millisecond: a minute, as a binary fraction of a day, is never exactly a minute.
fn iso_8601(time: ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, milliseconds) = time.to_ymd_hms_milli();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
}
