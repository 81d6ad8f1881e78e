//! The European Central Bank's history of reference rates: a ZIP with one CSV inside, or that CSV.
//!
//! The first line is `Date,USD,JPY,…,`, each further one a day, newest first: `2026-10-30,1.1172,175.68,…,`. A rate is
//! units of the column's currency for one euro, `N/A` where there was none. Each line ends in a comma and a line end,
//! and nothing is quoted.
//!
//! Guarantee: all of a file or none of it. A file that was cut off, damaged or changed in its form is an error that
//! says where. Only a CSV cut exactly at the end of a line cannot be told from a shorter history; the ZIP, which has a
//! checksum, can.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use chrono::NaiveDate;
use money::{Currency, Rate};
use zip::ZipArchive;
use zip::result::ZipError;

/// The history that comes with the program, as the ECB published it: see `data/README.md`.
pub const BUILT_IN: &[u8] = include_bytes!("../data/eurofxref-hist.zip");

/// The largest CSV that is unpacked. The whole history is 2 MB, and grows by 80 kB a year.
pub const UNPACKED_LIMIT: u64 = 32 * 1024 * 1024;

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

/// Why a file is not the ECB's history. Lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
pub enum EcbError {
    /// No bytes at all, in the file or in the CSV of the ZIP.
    #[error("the file is empty")]
    Empty,
    /// The ZIP was cut off, changed, encrypted, or packed in an unknown way.
    #[error("the ZIP is damaged or cut off")]
    DamagedZip {
        /// What the ZIP reader says.
        source: ZipError,
    },
    /// What the ZIP's CSV unpacks to does not fit its checksum.
    #[error("the ZIP is damaged")]
    DamagedMember {
        /// What the ZIP reader says.
        source: std::io::Error,
    },
    /// The ZIP holds no file, or more than the one CSV.
    #[error("the ZIP has {found} files where one CSV is expected")]
    NotOneMember {
        /// How many there are.
        found: usize,
    },
    /// Unpacked it is larger than [`UNPACKED_LIMIT`].
    #[error("the ZIP unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Not a text, perhaps a file of another kind.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// Where.
        line: usize,
        /// What is wrong with it.
        source: std::str::Utf8Error,
    },
    /// Does not end in a line end, as the ECB's files do.
    #[error("the file is cut off in line {line}: it does not end in a line end")]
    CutOff {
        /// Where.
        line: usize,
    },
    /// A header without days.
    #[error("the file has no days after its header")]
    NoDays,
    /// Does not begin as the ECB's files do.
    #[error("line 1, column 1: `{found}` where `Date` is expected")]
    NoDateColumn {
        /// What stands there, shortened to 40 characters.
        found: String,
    },
    /// A column's name is no currency.
    #[error("line 1, column {column}: not a currency")]
    UnknownCurrency {
        /// Where.
        column: usize,
        /// Why not.
        source: money::Invalid,
    },
    /// Two columns of one currency.
    #[error("line 1, column {column}: {currency} for the second time")]
    RepeatedCurrency {
        /// Where.
        column: usize,
        /// The column's currency.
        currency: Currency,
    },
    /// A line that does not end as all lines of the ECB do.
    #[error("line {line} does not end in a comma")]
    NoLastComma {
        /// Where.
        line: usize,
    },
    /// A line with more or fewer columns than the header.
    #[error("line {line} has {found} columns where {expected} are expected")]
    WrongColumns {
        /// Where.
        line: usize,
        /// How many there are.
        found: usize,
        /// As many as the header has.
        expected: usize,
    },
    /// Not a date, or not written as the ECB writes it.
    #[error("line {line}, column 1: `{found}` is not a date such as 1999-01-04")]
    BadDate {
        /// Where.
        line: usize,
        /// What stands there, shortened to 40 characters.
        found: String,
    },
    /// A day that was there already.
    #[error("line {line}, column 1: {date} for the second time")]
    RepeatedDate {
        /// Where.
        line: usize,
        /// The day.
        date: NaiveDate,
    },
    /// Neither a rate nor `N/A`.
    #[error("line {line}, column {column}: not a rate of {currency}")]
    BadRate {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
        /// The column's currency.
        currency: Currency,
        /// Why not.
        source: money::Invalid,
    },
}

/// Reads a file of the ECB's history; whether it is the ZIP or the CSV shows in its first bytes.
///
/// # Errors
/// Any [`EcbError`]; nothing of the file is returned then.
pub fn parse(file: &[u8]) -> Result<History, EcbError> {
    if file.starts_with(b"PK") { parse_csv(&unpack(file)?) } else { parse_csv(file) }
}

fn unpack(file: &[u8]) -> Result<Vec<u8>, EcbError> {
    let damaged = |source| EcbError::DamagedZip { source };
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    if archive.len() != 1 {
        return Err(EcbError::NotOneMember { found: archive.len() });
    }
    let member = archive.by_index(0).map_err(damaged)?;
    let mut csv = Vec::new();
    // One byte more than allowed tells a file that is too large, whatever size it states.
    let read = member.take(UNPACKED_LIMIT + 1).read_to_end(&mut csv);
    read.map_err(|source| EcbError::DamagedMember { source })?;
    if csv.len() as u64 > UNPACKED_LIMIT {
        return Err(EcbError::TooLarge { limit: UNPACKED_LIMIT });
    }
    Ok(csv)
}

fn parse_csv(file: &[u8]) -> Result<History, EcbError> {
    let text = str::from_utf8(file).map_err(|source| {
        let line = 1 + file[..source.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        EcbError::NotUtf8 { line, source }
    })?;
    let mut lines = (1..).zip(text.lines());
    let Some((_, header)) = lines.next() else {
        return Err(EcbError::Empty);
    };
    if !text.ends_with('\n') {
        return Err(EcbError::CutOff { line: text.lines().count() });
    }
    let currencies = read_header(header)?;
    let mut days = BTreeMap::new();
    for (line, text) in lines {
        let day = read_day(line, text, &currencies)?;
        if let Some(Day { date, .. }) = days.insert(day.date, day) {
            return Err(EcbError::RepeatedDate { line, date });
        }
    }
    if days.is_empty() {
        return Err(EcbError::NoDays);
    }
    let days: Vec<Day> = days.into_values().collect();
    let numbers = days.iter().map(|day| day.rates.len()).sum();
    Ok(History { days, numbers })
}

/// The currency of each column after the first.
fn read_header(header: &str) -> Result<Vec<Currency>, EcbError> {
    let mut columns = (1..).zip(columns(1, header)?);
    let found = columns.next().map_or("", |(_, name)| name);
    if found != "Date" {
        return Err(EcbError::NoDateColumn { found: shortened(found) });
    }
    let mut currencies = Vec::new();
    for (column, name) in columns {
        let currency = name.parse().map_err(|source| EcbError::UnknownCurrency { column, source })?;
        if currencies.contains(&currency) {
            return Err(EcbError::RepeatedCurrency { column, currency });
        }
        currencies.push(currency);
    }
    Ok(currencies)
}

fn read_day(line: usize, text: &str, currencies: &[Currency]) -> Result<Day, EcbError> {
    let columns = columns(line, text)?;
    let (found, expected) = (columns.clone().count(), currencies.len() + 1);
    if found != expected {
        return Err(EcbError::WrongColumns { line, found, expected });
    }
    let mut columns = (1..).zip(columns);
    let date = read_date(line, columns.next().map_or("", |(_, date)| date))?;
    let mut rates = BTreeMap::new();
    for (currency, (column, number)) in currencies.iter().zip(columns).filter(|(_, (_, number))| *number != "N/A") {
        let rate = number.parse().map_err(|source| EcbError::BadRate { line, column, currency: *currency, source })?;
        rates.insert(*currency, rate);
    }
    Ok(Day { date, rates })
}

/// `NaiveDate` also reads `1999-1-4` and `+12026-10-30`; only what the ECB writes is taken.
fn read_date(line: usize, text: &str) -> Result<NaiveDate, EcbError> {
    let as_written = |date: &NaiveDate| date.format("%Y-%m-%d").to_string() == text && text.len() == 10;
    let date = text.parse().ok().filter(as_written);
    date.ok_or_else(|| EcbError::BadDate { line, found: shortened(text) })
}

fn columns(line: usize, text: &str) -> Result<std::str::Split<'_, char>, EcbError> {
    let columns = text.strip_suffix(',').ok_or(EcbError::NoLastComma { line })?;
    Ok(columns.split(','))
}

/// So much of a text that an error can quote it.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::{Cursor, Write};

    use money::Currency;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::{BUILT_IN, History, UNPACKED_LIMIT, parse};

    const SMALL: &str = "Date,USD,JPY,CYP,\n\
                         2026-10-30,1.1172,175.68,N/A,\n\
                         2026-10-29,1.1130,175.92,N/A,\n\
                         1999-01-04,1.1789,133.73,0.58231,\n";

    fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// A history in one line a day, or its refusal with all its causes.
    fn read(file: &[u8]) -> Result<Vec<String>, String> {
        let line = |day: &super::Day| {
            let rates = day.rates.iter().map(|(currency, rate)| format!(" {currency} {rate}"));
            format!("{}{}", day.date, rates.collect::<String>())
        };
        parse(file).map(|history| history.days.iter().map(line).collect()).map_err(|error| chain(&error))
    }

    fn chain(error: &dyn Error) -> String {
        let cause = error.source().map(|cause| format!(": {}", chain(cause)));
        format!("{error}{}", cause.unwrap_or_default())
    }

    fn check(file: &[u8], refusal: &str) {
        assert_eq!(read(file), Err(refusal.to_owned()));
    }

    #[test]
    fn the_built_in_history_is_read_to_the_last_number() {
        let History { days, numbers } = parse(BUILT_IN).unwrap();
        assert_eq!((days.len(), numbers), (7_126, 221_702));
        assert!(days.is_sorted_by(|older, newer| older.date < newer.date));
        let (first, last) = (days.first().unwrap(), days.last().unwrap());
        assert_eq!((first.date.to_string(), last.date.to_string()), ("1999-01-04".to_owned(), "2026-10-30".to_owned()));
        assert_eq!(first.rates[&Currency::USD].to_string(), "1.1789");
        assert_eq!(last.rates[&Currency::GBP].to_string(), "0.8338");
    }

    #[test]
    fn days_come_oldest_first_without_holes_and_with_rates_normalised() {
        let days = [
            "1999-01-04 CYP 0.58231 JPY 133.73 USD 1.1789",
            "2026-10-29 JPY 175.92 USD 1.113",
            "2026-10-30 JPY 175.68 USD 1.1172",
        ];
        assert_eq!(read(SMALL.as_bytes()).unwrap(), days);
        assert_eq!(read(SMALL.replace('\n', "\r\n").as_bytes()).unwrap(), days);
        assert_eq!(read(&zipped(&[("eurofxref-hist.csv", SMALL.as_bytes())])).unwrap(), days);
        assert_eq!(parse(SMALL.as_bytes()).unwrap().numbers, 7);
    }

    #[test]
    fn a_refusal_names_the_line_and_the_column() {
        let changed = |from: &str, to: &str, refusal: &str| check(SMALL.replacen(from, to, 1).as_bytes(), refusal);
        changed("Date", "Day", "line 1, column 1: `Day` where `Date` is expected");
        changed("JPY", "YEN", "line 1, column 3: not a currency: `YEN` is not an ISO 4217 currency");
        changed("JPY", " JPY", "line 1, column 3: not a currency: ` JPY` is not an ISO 4217 currency");
        changed("JPY", "USD", "line 1, column 3: USD for the second time");
        changed("10-29", "13-29", "line 3, column 1: `2026-13-29` is not a date such as 1999-01-04");
        changed("1999-01-04", "1999-1-4", "line 4, column 1: `1999-1-4` is not a date such as 1999-01-04");
        changed("2026-10-29", "+2026-10-29", "line 3, column 1: `+2026-10-29` is not a date such as 1999-01-04");
        changed("10-29", "10-30", "line 3, column 1: 2026-10-30 for the second time");
        changed("175.92", "175,92", "line 3 has 5 columns where 4 are expected");
        changed("1999-01-04,1.1789,", "1999-01-04,", "line 4 has 3 columns where 4 are expected");
        changed("0.58231,", "0.58231", "line 4 does not end in a comma");
        changed("2026-10-29", "\n2026-10-29", "line 3 does not end in a comma");
        let not_a_rate = "line 2, column 3: not a rate of JPY: ";
        changed("175.68", "175.6x", &format!("{not_a_rate}`175.6x` is not a plain decimal number such as 15.30"));
        changed("175.68", "", &format!("{not_a_rate}`` is not a plain decimal number such as 15.30"));
        changed("175.68", "-1", &format!("{not_a_rate}-1 is not greater than zero"));
        changed("175.68", "0", &format!("{not_a_rate}0 is not greater than zero"));
    }

    #[test]
    fn what_is_no_history_at_all_is_refused() {
        check(b"", "the file is empty");
        check(b"Date,USD,\n", "the file has no days after its header");
        check(b"<?xml version='1.0'?>\n", "line 1 does not end in a comma");
        check(
            b"Date,USD,\n2026-10-30,1.\xff,\n",
            "line 2 is not UTF-8: invalid utf-8 sequence of 1 bytes from index 23",
        );
        check(b"PK but no ZIP\n", "the ZIP is damaged or cut off: invalid Zip archive: Could not find EOCD");
        check(&zipped(&[]), "the ZIP has 0 files where one CSV is expected");
        check(&zipped(&[("a.csv", b""), ("b.csv", b"")]), "the ZIP has 2 files where one CSV is expected");
        check(&zipped(&[("a.csv", b"")]), "the file is empty");
    }

    #[test]
    fn a_zip_bomb_is_unpacked_to_the_limit_only() {
        let bomb = |size: u64| zipped(&[("a.csv", &vec![b'\n'; usize::try_from(size).unwrap()])]);
        check(&bomb(UNPACKED_LIMIT + 1), "the ZIP unpacks to more than 33554432 bytes");
        check(&bomb(UNPACKED_LIMIT), "line 1 does not end in a comma");
    }

    #[test]
    fn a_csv_cut_off_anywhere_is_refused_except_at_the_end_of_a_line() {
        let whole = read(SMALL.as_bytes()).unwrap();
        for end in 0..SMALL.len() {
            let cut = &SMALL[..end];
            let lines = cut.lines().count();
            let expected = match (end, cut.ends_with('\n')) {
                (0, _) => Err("the file is empty".to_owned()),
                (_, false) => Err(format!("the file is cut off in line {lines}: it does not end in a line end")),
                (_, true) if lines == 1 => Err("the file has no days after its header".to_owned()),
                (_, true) => Ok(whole[whole.len() - (lines - 1)..].to_vec()),
            };
            assert_eq!(read(cut.as_bytes()), expected, "cut after {end} bytes");
        }
    }

    #[test]
    fn a_zip_cut_off_anywhere_is_refused() {
        let zip = zipped(&[("eurofxref-hist.csv", SMALL.as_bytes())]);
        for end in 0..zip.len() {
            assert!(parse(&zip[..end]).is_err(), "cut after {end} bytes");
        }
        for end in (0..BUILT_IN.len()).step_by(9_973) {
            assert!(parse(&BUILT_IN[..end]).is_err(), "cut after {end} bytes");
        }
    }

    #[test]
    fn a_flipped_bit_never_changes_a_number() {
        let mut zip = zipped(&[("eurofxref-hist.csv", SMALL.as_bytes())]);
        let whole = parse(&zip).unwrap();
        for place in 0..zip.len() {
            for bit in 0..8 {
                zip[place] ^= 1 << bit;
                // Some bits say nothing about the content: the time of the file, its name.
                assert!(
                    parse(&zip).is_ok_and(|read| read == whole) || parse(&zip).is_err(),
                    "bit {bit} of byte {place}"
                );
                zip[place] ^= 1 << bit;
            }
        }
    }
}
