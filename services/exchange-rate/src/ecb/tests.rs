mod csv;
mod packed;
mod same;
mod xml;

use chrono::NaiveDate;

use super::{EcbError, History};

/// The last allowed day, which is the newest day in the files of these tests.
const LAST: NaiveDate = NaiveDate::from_ymd_opt(2026, 10, 30).unwrap();

fn parse(file: &[u8]) -> Result<History, EcbError> {
    super::parse(file, LAST)
}

/// Parses a file. Returns a text for each day, or the error with all its sources.
fn read(file: &[u8]) -> Result<Vec<String>, String> {
    let line = |day: &super::Day| {
        let rates = day.rates.iter().map(|(currency, rate)| format!(" {currency} {rate}"));
        format!("{}{}", day.date, rates.collect::<String>())
    };
    parse(file).map(|history| history.days.iter().map(line).collect()).map_err(|error| telemetry::error_chain(&error))
}

fn check(file: &[u8], refusal: &str) {
    assert_eq!(read(file), Err(refusal.to_owned()));
}
