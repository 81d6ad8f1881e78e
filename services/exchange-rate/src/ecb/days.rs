//! The result of parsing, the same for every format.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{Datelike as _, NaiveDate};
use money::{Currency, Rate};

use super::EcbError;
use super::error::{Place, shortened};

/// The content of an ECB file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The days of the file, oldest first. There is at least one, and no date occurs twice.
    pub days: Vec<Day>,
    /// The number of rates of all days together.
    pub numbers: usize,
}

/// One day on which rates were published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day of publication.
    pub date: NaiveDate,
    /// Units of each currency for one euro. A currency without a rate on that day is absent.
    pub rates: BTreeMap<Currency, Rate>,
}

/// The first day with rates of the ECB. Together with the last allowed day it limits the number of days in a file.
const FIRST: NaiveDate = match NaiveDate::from_ymd_opt(1999, 1, 4) {
    Some(first) => first,
    None => unreachable!(),
};

/// The days read so far.
pub(super) struct Days {
    last: NaiveDate,
    days: BTreeMap<NaiveDate, Day>,
}

impl Days {
    /// No days yet. `last` is the last day that may be added.
    pub fn until(last: NaiveDate) -> Self {
        Self { last, days: BTreeMap::new() }
    }

    /// Adds a day.
    ///
    /// # Errors
    /// [`EcbError::RepeatedDate`], [`EcbError::TooEarly`], [`EcbError::NotYet`].
    pub fn add(&mut self, day: Day, place: Place) -> Result<(), EcbError> {
        if day.date < FIRST {
            return Err(EcbError::TooEarly { place, date: day.date, first: FIRST });
        }
        if day.date > self.last {
            return Err(EcbError::NotYet { place, date: day.date, last: self.last });
        }
        match self.days.entry(day.date) {
            Entry::Vacant(free) => {
                free.insert(day);
                Ok(())
            }
            Entry::Occupied(_) => Err(EcbError::RepeatedDate { place, date: day.date }),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }
}

impl From<Days> for History {
    fn from(read: Days) -> Self {
        let days: Vec<Day> = read.days.into_values().collect();
        let numbers = days.iter().map(|day| day.rates.len()).sum();
        Self { days, numbers }
    }
}

/// The date format of a file format.
pub(super) struct DateForm {
    /// The accepted formats in `chrono` syntax.
    pub formats: &'static [&'static str],
    /// An example in the first of these formats.
    pub example: &'static str,
}

impl DateForm {
    /// ISO 8601.
    pub const ISO: Self = Self { formats: &["%Y-%m-%d"], example: "1999-01-04" };

    /// Parses a date that must be written exactly in one of the formats. `chrono` alone would also accept `1999-1-4`
    /// and `+12026-10-30`.
    ///
    /// # Errors
    /// [`EcbError::BadDate`].
    pub fn read(&self, text: &str, place: Place) -> Result<NaiveDate, EcbError> {
        let parse_exactly = |format: &&str| {
            let date = NaiveDate::parse_from_str(text, format).ok()?;
            let is_same = date.format(format).to_string() == text && (1000..=9999).contains(&date.year());
            is_same.then_some(date)
        };
        let bad = || EcbError::BadDate { place, found: shortened(text), example: self.example };
        self.formats.iter().find_map(parse_exactly).ok_or_else(bad)
    }
}
