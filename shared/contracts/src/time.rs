//! Times in requests.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer};

/// Reads a time.
pub(crate) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    parse_time(&String::deserialize(deserializer)?)
}

/// Like [`time`]; null is no time.
pub(crate) fn optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    parse_time(&text).map(Some)
}

/// Parses an RFC 3339 time and truncates it to microseconds.
fn parse_time<E: serde::de::Error>(text: &str) -> Result<DateTime<Utc>, E> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| E::custom(not_a_time(text)))?;
    // The conversion to UTC may leave the years that RFC 3339 can represent, and the time could not be parsed again.
    let time =
        DateTime::from_timestamp_micros(time.timestamp_micros()).filter(|time| (0..=9999).contains(&time.year()));
    time.ok_or_else(|| E::custom("outside the years 0000 to 9999 in UTC"))
}

fn not_a_time(text: &str) -> &'static str {
    if NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok() {
        "the offset from UTC is missing: end the time with Z or an offset such as +01:00"
    } else if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
        "a date without a time: write it like 2026-10-30T14:15:00Z"
    } else {
        "not a time: write it like 2026-10-30T14:15:00Z (RFC 3339)"
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::Error;

    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(parse_time::<Error>(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_error_says_what_is_wrong_with_a_time() {
        for text in ["2026-10-30T14:15:00", "2026-10-30T14:15:00.5"] {
            check(text, "the offset from UTC is missing: end the time with Z or an offset such as +01:00");
        }
        check("2026-10-30", "a date without a time: write it like 2026-10-30T14:15:00Z");
        for text in ["", "yesterday", "2026-02-30T14:15:00Z", "2026-10-30T14:15:00 01:00", "2026-10-30T14:15Z"] {
            check(text, "not a time: write it like 2026-10-30T14:15:00Z (RFC 3339)");
        }
        check("9999-12-31T23:59:59-00:01", "outside the years 0000 to 9999 in UTC");
    }
}
