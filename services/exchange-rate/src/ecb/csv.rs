//! The table format that both CSV files share.
//!
//! The first line is `Date,USD,JPY,…,`. Each further line is a day: `2026-10-30,1.1172,175.68,…,`. A rate is the units
//! of the column's currency for one euro, or `N/A` if there is none. Nothing is quoted. Each line ends with a separator
//! and a line break. A file that was edited may lack that separator on all its lines.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use money::Currency;

use super::days::{DateForm, Day, Days, History};
use super::error::{EcbError, Place, currency, shortened};

/// The differences between the CSV formats of the ECB.
pub(super) struct Form {
    /// The separator between columns.
    pub separator: &'static str,
    /// The date format of the first column.
    pub dates: DateForm,
}

impl Form {
    /// Parses a whole file. `last` is the last day that it may contain.
    ///
    /// # Errors
    /// The [`EcbError`]s about CSV files.
    pub fn parse(&self, text: &str, last: NaiveDate) -> Result<History, EcbError> {
        let mut lines = (1..).zip(text.lines());
        let Some((_, header)) = lines.next() else {
            return Err(EcbError::Empty);
        };
        if !text.ends_with('\n') {
            return Err(EcbError::CutOff { line: text.lines().count() });
        }
        let header = self.header(header)?;
        let mut days = Days::until(last);
        for (line, text) in lines {
            days.add(self.day(line, text, &header)?, Place { line, column: 1 })?;
        }
        if days.is_empty() { Err(EcbError::NoDays) } else { Ok(days.into()) }
    }

    fn header(&self, text: &str) -> Result<Header, EcbError> {
        let whole = self.without_last_separator(text);
        let mut columns = (1..).zip(whole.unwrap_or(text).split(self.separator));
        let found = columns.next().map_or("", |(_, name)| name);
        if found != "Date" {
            return Err(EcbError::NoDateColumn { found: shortened(found) });
        }
        let mut currencies = Vec::new();
        for (column, name) in columns {
            let place = Place { line: 1, column };
            let currency = currency(name, place)?;
            if currencies.contains(&currency) {
                return Err(EcbError::RepeatedCurrency { place, currency });
            }
            currencies.push(currency);
        }
        if currencies.is_empty() {
            return Err(EcbError::NoCurrencies);
        }
        Ok(Header { currencies, ends_in_separator: whole.is_some() })
    }

    fn day(&self, line: usize, text: &str, header: &Header) -> Result<Day, EcbError> {
        let text = match header.ends_in_separator {
            true => self.without_last_separator(text).ok_or(EcbError::NoLastComma { line })?,
            false => text,
        };
        let columns = text.split(self.separator);
        let (found, expected) = (columns.clone().count(), header.currencies.len() + 1);
        if found != expected {
            return Err(EcbError::WrongColumns { line, found, expected });
        }
        let mut columns = (1..).map(|column| Place { line, column }).zip(columns);
        let (place, date) = columns.next().unwrap_or((Place { line, column: 1 }, ""));
        let date = self.dates.read(date, place)?;
        let mut rates = BTreeMap::new();
        let rated = header.currencies.iter().zip(columns).filter(|(_, (_, number))| *number != "N/A");
        for (currency, (place, number)) in rated {
            let rate = number.parse().map_err(|source| EcbError::BadRate { place, currency: *currency, source })?;
            rates.insert(*currency, rate);
        }
        Ok(Day { date, rates })
    }

    /// Removes the separator at the end of a line. Editors strip the space after the last comma of the daily CSV, so
    /// the comma alone is enough.
    fn without_last_separator<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.strip_suffix(self.separator).or_else(|| text.strip_suffix(self.separator.trim_end()))
    }
}

/// The first line of a file.
struct Header {
    /// The currency of each column after the first.
    currencies: Vec<Currency>,
    /// Whether the line ends with a separator, as the ECB writes it. All other lines must end in the same way.
    ends_in_separator: bool,
}
