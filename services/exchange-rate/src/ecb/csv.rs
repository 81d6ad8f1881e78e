//! The table that both CSVs are.
//!
//! The first line is `Date,USD,JPY,…,`, each further one a day: `2026-10-30,1.1172,175.68,…,`. A rate is units of the
//! column's currency for one euro, `N/A` where there was none. Each line ends in a separator and a line end, and nothing
//! is quoted.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use money::Currency;

use super::days::{DateForm, Day, Days, History};
use super::error::{EcbError, Place, shortened};

/// What differs from one CSV of the ECB to another.
pub(super) struct Form {
    /// After every column.
    pub separator: &'static str,
    /// How the first column is written.
    pub dates: DateForm,
}

impl Form {
    /// Reads a whole file, which has no day after the last one.
    ///
    /// # Errors
    /// The [`EcbError`]s about CSVs.
    pub fn parse(&self, text: &str, last: NaiveDate) -> Result<History, EcbError> {
        let mut lines = (1..).zip(text.lines());
        let Some((_, header)) = lines.next() else {
            return Err(EcbError::Empty);
        };
        if !text.ends_with('\n') {
            return Err(EcbError::CutOff { line: text.lines().count() });
        }
        let currencies = self.header(header)?;
        let mut days = Days::until(last);
        for (line, text) in lines {
            days.add(self.day(line, text, &currencies)?, Place { line, column: 1 })?;
        }
        if days.is_empty() { Err(EcbError::NoDays) } else { Ok(days.into()) }
    }

    /// The currency of each column after the first.
    fn header(&self, header: &str) -> Result<Vec<Currency>, EcbError> {
        let mut columns = (1..).zip(self.columns(1, header)?);
        let found = columns.next().map_or("", |(_, name)| name);
        if found != "Date" {
            return Err(EcbError::NoDateColumn { found: shortened(found) });
        }
        let mut currencies = Vec::new();
        for (column, name) in columns {
            let place = Place { line: 1, column };
            let currency = name.parse().map_err(|source| EcbError::UnknownCurrency { place, source })?;
            if currencies.contains(&currency) {
                return Err(EcbError::RepeatedCurrency { place, currency });
            }
            currencies.push(currency);
        }
        Ok(currencies)
    }

    fn day(&self, line: usize, text: &str, currencies: &[Currency]) -> Result<Day, EcbError> {
        let columns = self.columns(line, text)?;
        let (found, expected) = (columns.clone().count(), currencies.len() + 1);
        if found != expected {
            return Err(EcbError::WrongColumns { line, found, expected });
        }
        let mut columns = (1..).map(|column| Place { line, column }).zip(columns);
        let (place, date) = columns.next().unwrap_or((Place { line, column: 1 }, ""));
        let date = self.dates.read(date, place)?;
        let mut rates = BTreeMap::new();
        for (currency, (place, number)) in currencies.iter().zip(columns).filter(|(_, (_, number))| *number != "N/A") {
            let rate = number.parse().map_err(|source| EcbError::BadRate { place, currency: *currency, source })?;
            rates.insert(*currency, rate);
        }
        Ok(Day { date, rates })
    }

    fn columns<'a>(&self, line: usize, text: &'a str) -> Result<std::str::Split<'a, &'static str>, EcbError> {
        let columns = text.strip_suffix(self.separator).ok_or(EcbError::NoLastComma { line })?;
        Ok(columns.split(self.separator))
    }
}
