//! What every form of file comes to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{Datelike as _, NaiveDate};
use money::{Currency, Rate};

use super::EcbError;
use super::error::{Place, shortened};

/// What a file of the ECB says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The days of the file, oldest first, no date twice, at least one.
    pub days: Vec<Day>,
    /// How many rates all days have together.
    pub numbers: usize,
}

/// One day on which rates were published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day of publication.
    pub date: NaiveDate,
    /// Units of each currency for one euro; a currency without a rate that day is absent.
    pub rates: BTreeMap<Currency, Rate>,
}

/// The first day that the ECB published rates of. With the last one it bounds how many days a file can have.
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
    /// None yet; none will be after the last one.
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

/// How a kind of file writes dates.
pub(super) struct DateForm {
    /// For `chrono`. More than one where it is not known which it is.
    pub formats: &'static [&'static str],
    /// A date in the first of them.
    pub example: &'static str,
}

impl DateForm {
    /// As standards have it.
    pub const ISO: Self = Self { formats: &["%Y-%m-%d"], example: "1999-01-04" };

    /// A date written exactly so: `chrono` alone would also read `1999-1-4` and `+12026-10-30`.
    ///
    /// # Errors
    /// [`EcbError::BadDate`].
    pub fn read(&self, text: &str, place: Place) -> Result<NaiveDate, EcbError> {
        let as_written = |format: &&str| {
            let date = NaiveDate::parse_from_str(text, format).ok()?;
            let is_same = date.format(format).to_string() == text && (1000..=9999).contains(&date.year());
            is_same.then_some(date)
        };
        let bad = || EcbError::BadDate { place, found: shortened(text), example: self.example };
        self.formats.iter().find_map(as_written).ok_or_else(bad)
    }
}
