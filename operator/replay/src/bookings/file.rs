//! The file of hotel bookings: a CSV with a header, whose columns are found by their names.

use std::io::Read;
use std::path::Path;

use chrono::NaiveDate;
use csv::StringRecord;
use operator_client::Progress;
use serde::Serialize;

use super::nights::{Booking, Hotel, days_before};
use crate::file::{FileError, shortened};
use crate::source::SourceFile;

/// The columns that are read.
const COLUMNS: [&str; 10] = [
    "hotel",
    "lead_time",
    "arrival_date_year",
    "arrival_date_month",
    "arrival_date_day_of_month",
    "stays_in_weekend_nights",
    "stays_in_week_nights",
    "adr",
    "reservation_status",
    "reservation_status_date",
];

/// The bookings of a file, and how many of its lines are not sent.
#[derive(Clone, Debug, Default)]
pub struct Bookings {
    /// The bookings to send, in the order of the file.
    pub all: Vec<Booking>,
    /// The lines that are not sent.
    pub unsent: Unsent,
}

/// Lines that are not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unsent {
    /// Stays without a night.
    pub without_a_night: u64,
    /// Nights with a negative price.
    pub negative_price: u64,
}

/// Reads a file to its end.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path) -> Result<Bookings, FileError> {
    let progress = Progress::reading(std::fs::metadata(path).map_or(0, |file| file.len()));
    let mut source = SourceFile::open(path, progress)?;
    bookings(source.text()?)
}

pub(super) fn bookings(text: impl Read) -> Result<Bookings, FileError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let header = reader.headers().map_err(|error| unreadable(0, error))?.clone();
    let columns = columns(&header)?;
    let (mut bookings, mut record, mut line) = (Bookings::default(), StringRecord::new(), 1);
    while reader.read_record(&mut record).map_err(|error| unreadable(line, error))? {
        line = record.position().map_or(line, csv::Position::line);
        if record.len() != header.len() {
            return Err(FileError::Columns { line, found: record.len() as u64, expected: header.len() });
        }
        let row = Row { record: &record, columns: &columns, line };
        match row.booking()? {
            Ok(booking) => bookings.all.push(booking),
            Err(why) => *why(&mut bookings.unsent) += 1,
        }
    }
    if bookings.all.is_empty() { Err(FileError::NoLines) } else { Ok(bookings) }
}

fn unreadable(line: u64, error: csv::Error) -> FileError {
    FileError::Read { line, source: error.into() }
}

/// The place of each of the columns.
fn columns(header: &StringRecord) -> Result<[usize; COLUMNS.len()], FileError> {
    let mut places = [0; COLUMNS.len()];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        let found = header.iter().position(|column| column == name);
        let missing = || FileError::NoBookings {
            missing: name,
            first_line: shortened(&header.iter().collect::<Vec<_>>().join(",")),
        };
        *place = found.ok_or_else(missing)?;
    }
    Ok(places)
}

/// The counter of lines that are not sent for the same reason.
type Why = fn(&mut Unsent) -> &mut u64;

struct Row<'a> {
    record: &'a StringRecord,
    columns: &'a [usize; COLUMNS.len()],
    line: u64,
}

impl Row<'_> {
    fn text(&self, column: &str) -> &str {
        let place = COLUMNS.iter().position(|name| *name == column).and_then(|at| self.columns.get(at));
        place.and_then(|place| self.record.get(*place)).unwrap_or_default().trim()
    }

    fn wrong(&self, column: &'static str, why: &str) -> FileError {
        FileError::Value { line: self.line, column, found: shortened(self.text(column)), why: why.to_owned() }
    }

    fn number<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, FileError> {
        self.text(column).parse().map_err(|_| self.wrong(column, "is no number from 0 on of a usual size"))
    }

    /// The booking, or the counter of those that are not sent for the same reason.
    fn booking(&self) -> Result<Result<Booking, Why>, FileError> {
        let hotel = match self.text("hotel") {
            "Resort Hotel" => Hotel::Resort,
            "City Hotel" => Hotel::City,
            _ => return Err(self.wrong("hotel", "is neither `Resort Hotel` nor `City Hotel`")),
        };
        let arrival = self.arrival()?;
        let made_on = days_before(arrival, self.number("lead_time")?);
        let made_on = made_on.ok_or_else(|| self.wrong("lead_time", "is longer than the calendar"))?;
        let weekend: u16 = self.number("stays_in_weekend_nights")?;
        let nights = weekend.checked_add(self.number("stays_in_week_nights")?);
        let nights = nights.ok_or_else(|| self.wrong("stays_in_week_nights", "is too long"))?;
        let ended_on = self.ended_on()?;
        let Some(night_cents) = self.cents()? else { return Ok(Err(|unsent| &mut unsent.negative_price)) };
        if nights == 0 {
            return Ok(Err(|unsent| &mut unsent.without_a_night));
        }
        // A cancellation before the booking was made can only be a mistake of the file; it counts as one of that day.
        let ended_on = ended_on.map(|day| day.max(made_on));
        Ok(Ok(Booking { line: self.line, hotel, made_on, arrival, nights, night_cents, ended_on }))
    }

    fn arrival(&self) -> Result<NaiveDate, FileError> {
        let month: chrono::Month = self
            .text("arrival_date_month")
            .parse()
            .map_err(|_| self.wrong("arrival_date_month", "is no English name of a month"))?;
        let (year, day) = (self.number("arrival_date_year")?, self.number("arrival_date_day_of_month")?);
        NaiveDate::from_ymd_opt(year, month.number_from_month(), day)
            .ok_or_else(|| self.wrong("arrival_date_day_of_month", "is no day of that month"))
    }

    fn ended_on(&self) -> Result<Option<NaiveDate>, FileError> {
        match self.text("reservation_status") {
            "Check-Out" => Ok(None),
            "Canceled" | "No-Show" => {
                let column = "reservation_status_date";
                let day = self.text(column).parse();
                day.map(Some).map_err(|_| self.wrong(column, "is no date such as 2016-08-15"))
            }
            _ => Err(self.wrong("reservation_status", "is none of `Check-Out`, `Canceled` and `No-Show`")),
        }
    }

    /// The price of a night in cents; `None` if it is negative.
    fn cents(&self) -> Result<Option<u32>, FileError> {
        let text = self.text("adr");
        let wrong = || self.wrong("adr", "is no price with at most two decimals");
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = [whole, decimals].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        if whole.is_empty() || decimals.len() > 2 || !are_digits {
            return Err(wrong());
        }
        let cents: u32 = format!("{whole}{decimals:0<2}").parse().map_err(|_| wrong())?;
        Ok((!negative || cents == 0).then_some(cents))
    }
}
