//! London time, the time zone of the shop.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Europe::London;

/// Converts a time as London's clocks showed it. In the hour that autumn repeats, it is the first of the two (summer
/// time). A time that spring skips is read as if the clocks had not changed yet (winter time, which is UTC).
pub fn in_london(shown: NaiveDateTime) -> DateTime<Utc> {
    match London.from_local_datetime(&shown) {
        LocalResult::Single(time) => time.to_utc(),
        LocalResult::Ambiguous(first, _) => first.to_utc(),
        LocalResult::None => shown.and_utc(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shown: &str, expected: &str) {
        assert_eq!(in_london(shown.parse().unwrap()), expected.parse::<DateTime<Utc>>().unwrap(), "{shown}");
    }

    #[test]
    fn winter_is_utc_and_summer_is_an_hour_ahead() {
        check("2010-12-01T08:26:00", "2010-12-01T08:26:00Z");
        check("2011-07-01T00:30:00", "2011-06-30T23:30:00Z");
    }

    #[test]
    fn a_time_that_spring_skips_is_winter_time() {
        check("2011-03-27T00:59:59", "2011-03-27T00:59:59Z");
        check("2011-03-27T01:00:00", "2011-03-27T01:00:00Z");
        check("2011-03-27T01:30:00", "2011-03-27T01:30:00Z");
        check("2011-03-27T02:00:00", "2011-03-27T01:00:00Z");
    }

    #[test]
    fn a_time_that_autumn_shows_twice_is_the_first_of_the_two() {
        check("2011-10-30T00:59:59", "2011-10-29T23:59:59Z");
        check("2011-10-30T01:00:00", "2011-10-30T00:00:00Z");
        check("2011-10-30T01:59:59", "2011-10-30T00:59:59Z");
        check("2011-10-30T02:00:00", "2011-10-30T02:00:00Z");
    }
}
