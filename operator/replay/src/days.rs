//! The days that are replayed.

use std::fmt::{self, Display, Formatter};

use chrono::NaiveDate;
use serde::Serialize;

/// A range of days in London time, both ends included. Without an end, it reaches as far as the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Days {
    // Invariant: the first is not after the last.
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
}

/// The last day is before the first.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no day from {from} to {to}: the first comes after the last")]
pub struct NoDay {
    from: NaiveDate,
    to: NaiveDate,
}

impl Days {
    /// The days from one day to another.
    ///
    /// # Errors
    /// [`NoDay`].
    pub fn new(from: Option<NaiveDate>, to: Option<NaiveDate>) -> Result<Self, NoDay> {
        match (from, to) {
            (Some(from), Some(to)) if from > to => Err(NoDay { from, to }),
            (from, to) => Ok(Self { from, to }),
        }
    }

    /// Whether the range contains all days.
    pub fn are_all(self) -> bool {
        self == Self::default()
    }

    /// Whether the range contains this day.
    pub fn contain(self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }
}

impl Display for Days {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, "from {from} to {to}"),
            (Some(from), None) => write!(f, "from {from} on"),
            (None, Some(to)) => write!(f, "up to {to}"),
            (None, None) => write!(f, "of any day"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn both_ends_are_included_and_either_may_be_missing() {
        let check = |from: &str, to: &str, shown: &str, inside: &[&str], outside: &[&str]| {
            let end = |text: &str| (!text.is_empty()).then(|| day(text));
            let days = Days::new(end(from), end(to)).unwrap();
            assert_eq!(days.to_string(), shown);
            assert!(inside.iter().all(|text| days.contain(day(text))), "{shown}");
            assert!(!outside.iter().any(|text| days.contain(day(text))), "{shown}");
            assert_eq!(days.are_all(), outside.is_empty());
        };
        let (before, first, last, after) = ("2011-01-31", "2011-02-01", "2011-02-28", "2011-03-01");
        check(first, last, "from 2011-02-01 to 2011-02-28", &[first, last], &[before, after]);
        check(first, first, "from 2011-02-01 to 2011-02-01", &[first], &[before, last]);
        check(first, "", "from 2011-02-01 on", &[first, after], &[before]);
        check("", last, "up to 2011-02-28", &[before, last], &[after]);
        check("", "", "of any day", &[before, after], &[]);
    }

    #[test]
    fn a_last_day_before_the_first_is_refused() {
        let refused = Days::new(Some(day("2011-02-02")), Some(day("2011-02-01"))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there is no day from 2011-02-02 to 2011-02-01: the first comes after the last"
        );
    }
}
