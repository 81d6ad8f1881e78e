use money::Currency;

use super::{check, parse, read};
use crate::ecb::{BUILT_IN, History};

pub const SMALL: &str = "Date,USD,JPY,CYP,\n\
                         2026-10-30,1.1172,175.68,N/A,\n\
                         2026-10-29,1.1130,175.92,N/A,\n\
                         1999-01-04,1.1789,133.73,0.58231,\n";

/// A daily CSV as the ECB published it.
pub const DAILY: &[u8] = include_bytes!("../../../data/eurofxref-daily.csv");

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
fn days_are_sorted_oldest_first_and_rates_are_normalized() {
    let days = [
        "1999-01-04 CYP 0.58231 JPY 133.73 USD 1.1789",
        "2026-10-29 JPY 175.92 USD 1.113",
        "2026-10-30 JPY 175.68 USD 1.1172",
    ];
    assert_eq!(read(SMALL.as_bytes()).unwrap(), days);
    assert_eq!(read(SMALL.replace('\n', "\r\n").as_bytes()).unwrap(), days);
    assert_eq!(parse(SMALL.as_bytes()).unwrap().numbers, 7);
}

#[test]
fn the_daily_csv_is_read_to_the_last_number() {
    let History { days, numbers } = parse(DAILY).unwrap();
    let [day] = days.as_slice() else { panic!("{} days", days.len()) };
    assert_eq!((day.date.to_string(), numbers), ("2026-10-30".to_owned(), 29));
    assert_eq!(
        (day.rates[&Currency::GBP].to_string(), day.rates[&Currency::USD].to_string()),
        ("0.8338".to_owned(), "1.1172".to_owned())
    );
}

#[test]
fn a_refusal_names_the_line_and_the_column() {
    let changed = |from: &str, to: &str, refusal: &str| check(SMALL.replacen(from, to, 1).as_bytes(), refusal);
    changed("Date", "Day", "line 1, column 1: `Day` where `Date` is expected");
    changed("JPY", "YEN", "line 1, column 3: not a currency: `YEN` is not an ISO 4217 currency");
    changed("JPY", " JPY", "line 1, column 3: not a currency: ` JPY` is not an ISO 4217 currency");
    changed("JPY", "USD", "line 1, column 3: USD is given twice");
    changed(
        "JPY",
        "EUR",
        "line 1, column 3: EUR has no rate: the ECB's rates count units of other currencies for one euro",
    );
    changed("10-29", "13-29", "line 3, column 1: `2026-13-29` is not a date such as 1999-01-04");
    changed("1999-01-04", "1999-1-4", "line 4, column 1: `1999-1-4` is not a date such as 1999-01-04");
    changed("2026-10-29", "+2026-10-29", "line 3, column 1: `+2026-10-29` is not a date such as 1999-01-04");
    changed("2026-10-29", "12026-10-29", "line 3, column 1: `12026-10-29` is not a date such as 1999-01-04");
    changed("2026-10-29", "29 October 2026", "line 3, column 1: `29 October 2026` is not a date such as 1999-01-04");
    let too_late = "is too late: the last allowed day is 2026-10-30";
    changed("2026-10-30", "2026-10-31", &format!("line 2, column 1: 2026-10-31 {too_late}"));
    changed("2026-10-29", "9999-12-31", &format!("line 3, column 1: 9999-12-31 {too_late}"));
    let too_early = "is too early: the ECB's rates begin on 1999-01-04";
    changed("1999-01-04", "1999-01-03", &format!("line 4, column 1: 1999-01-03 {too_early}"));
    changed("1999-01-04", "1066-10-14", &format!("line 4, column 1: 1066-10-14 {too_early}"));
    changed("10-29", "10-30", "line 3, column 1: 2026-10-30 is given twice");
    changed("175.92", "175,92", "line 3 has 5 columns where 4 are expected");
    changed("1999-01-04,1.1789,", "1999-01-04,", "line 4 has 3 columns where 4 are expected");
    changed("0.58231,", "0.58231", "line 4 does not end with a comma, but line 1 does");
    changed("2026-10-29", "\n2026-10-29", "line 3 does not end with a comma, but line 1 does");
    let not_a_rate = "line 2, column 3: not a rate of JPY: ";
    changed("175.68", "175.6x", &format!("{not_a_rate}`175.6x` is not a plain decimal number such as 15.30"));
    changed("175.68", "", &format!("{not_a_rate}`` is not a plain decimal number such as 15.30"));
    changed("175.68", "-1", &format!("{not_a_rate}-1 is not greater than zero"));
    changed("175.68", "0", &format!("{not_a_rate}0 is not greater than zero"));
}

#[test]
fn the_daily_csv_is_accepted_only_as_the_ecb_writes_it() {
    let daily = str::from_utf8(DAILY).unwrap();
    let changed = |from: &str, to: &str, refusal: &str| check(daily.replacen(from, to, 1).as_bytes(), refusal);
    let not_a_date = "is not a date such as 30 October 2026";
    changed("30 October 2026", "2026-10-30", &format!("line 2, column 1: `2026-10-30` {not_a_date}"));
    changed("30 October 2026", "31 November 2026", &format!("line 2, column 1: `31 November 2026` {not_a_date}"));
    changed("October", "Oct", &format!("line 2, column 1: `30 Oct 2026` {not_a_date}"));
    changed("October", "OCTOBER", &format!("line 2, column 1: `30 OCTOBER 2026` {not_a_date}"));
    changed("JPY", "YEN", "line 1, column 3: not a currency: `YEN` is not an ISO 4217 currency");
    changed("JPY", "USD", "line 1, column 3: USD is given twice");
    changed("175.68", "0.00", "line 2, column 3: not a rate of JPY: 0.00 is not greater than zero");
    changed("175.68, ", "175.68,", "line 2 has 29 columns where 30 are expected");
    changed("18.6455, ", "18.6455", "line 2 does not end with a comma, but line 1 does");
    changed("Date, ", "Date,", "line 1, column 3: not a currency: ` JPY` is not an ISO 4217 currency");
    for (written, date) in [("9 May 2025", "2025-05-09"), ("09 May 2025", "2025-05-09"), ("10 June 2024", "2024-06-10")]
    {
        let read = read(format!("Date, USD, ISK, \n{written}, 1.1252, N/A, \n").as_bytes());
        assert_eq!(read, Ok(vec![format!("{date} USD 1.1252")]));
    }
}

#[test]
fn a_csv_may_lack_the_last_comma_on_all_its_lines() {
    let whole = read(SMALL.as_bytes());
    assert!(whole.is_ok());
    let edited = SMALL.replace(",\n", "\n");
    assert_eq!(read(edited.as_bytes()), whole);
    assert_eq!(read(edited.replace('\n', "\r\n").as_bytes()), whole);
    check(edited.replacen("175.92,N/A", "175.92,N/A,", 1).as_bytes(), "line 3 has 5 columns where 4 are expected");
    let daily = str::from_utf8(DAILY).unwrap();
    for edited in [daily.replace(", \n", "\n"), daily.replace(", \n", ",\n")] {
        assert!(edited != daily);
        assert_eq!(read(edited.as_bytes()), read(DAILY));
    }
}

#[test]
fn every_form_may_begin_with_a_byte_order_mark() {
    for file in [SMALL.as_bytes(), DAILY, super::xml::DAILY] {
        assert_eq!(read(&["\u{feff}".as_bytes(), file].concat()), read(file));
    }
    check("\u{feff}".as_bytes(), "the file is empty");
    check("\u{feff}\u{feff}Date,USD,\n".as_bytes(), "line 1, column 1: `\u{feff}Date` where `Date` is expected");
}

#[test]
fn a_file_that_is_not_a_csv_of_the_ecb_is_refused() {
    check(b"", "the file is empty");
    check(b"Date,USD,\n", "the file has no days after its header");
    check(b"Date, USD, \n", "the file has no days after its header");
    check(b"{\"error\":\"not found\"}\n", "line 1, column 1: `{\"error\":\"not found\"}` where `Date` is expected");
    check(b"Date\n2026-10-30\n", "the header names no currency");
    check(&[0x1f, 0x8b, 8, 0], "the file is packed with gzip: send it unpacked, or in a ZIP as the ECB does");
    check(b"Date,USD,\n2026-10-30,1.\xff,\n", "line 2 is not UTF-8: invalid utf-8 sequence of 1 bytes from index 23");
}

#[test]
fn a_csv_cut_off_anywhere_is_refused_except_at_the_end_of_a_line() {
    for file in [SMALL, str::from_utf8(DAILY).unwrap()] {
        let whole = read(file.as_bytes()).unwrap();
        for end in 0..file.len() {
            let cut = &file[..end];
            let lines = cut.lines().count();
            let expected = match (end, cut.ends_with('\n')) {
                (0, _) => Err("the file is empty".to_owned()),
                (_, false) => Err(format!("the file is cut off in line {lines}: the line break at its end is missing")),
                (_, true) if lines == 1 => Err("the file has no days after its header".to_owned()),
                (_, true) => Ok(whole[whole.len() - (lines - 1)..].to_vec()),
            };
            assert_eq!(read(cut.as_bytes()), expected, "cut after {end} bytes");
        }
    }
}
