use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::invalid::shortened;
use crate::text::serde_as_text;
use crate::{Currency, Invalid, Rate};

/// A version of the published rates: 1, 2, 3 …, one for each fact with new or changed rates. 0 means that nothing is
/// published yet. A calculation that records its version can be repeated, whatever is published later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RateVersion(
    /// The version number, from 1.
    pub u64,
);

impl fmt::Display for RateVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The publisher of a rate, such as `ecb` or `manual`: 1 to 64 printable ASCII characters, including spaces. Cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RateSource(
    // Invariant: 1 to 64 printable ASCII characters.
    Arc<str>,
);

impl FromStr for RateSource {
    type Err = Invalid;

    /// # Errors
    /// [`Invalid::NotASource`].
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let printable = text.bytes().all(|byte| (0x20..=0x7E).contains(&byte));
        if !printable || !(1..=64).contains(&text.len()) {
            return Err(Invalid::NotASource { text: shortened(text) });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for RateSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

serde_as_text!(RateSource, "the source of a rate, such as \"ecb\"");

/// A rate as its source published it: from `valid_from` on, one unit of `base` is worth `rate` units of `quote`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedRate {
    /// The base currency, of which the rate prices one unit.
    pub base: Currency,
    /// The quote currency, in which the rate is expressed.
    pub quote: Currency,
    /// Units of `quote` for one unit of `base`.
    pub rate: Rate,
    /// When the rate becomes valid. It stays valid until a newer one.
    pub valid_from: DateTime<Utc>,
    /// The publisher of the rate.
    pub source: RateSource,
}

/// The maximum age of a usable rate, in days. The longest gap between publications of the ECB is five days.
pub const STALE_AFTER_DAYS: u32 = 7;

/// The age of a rate in days at `at`: the difference of the UTC dates, regardless of the time of day. 0 when
/// `valid_from` is after `at`.
#[must_use]
pub fn age_days(valid_from: DateTime<Utc>, at: DateTime<Utc>) -> u32 {
    let days = at.date_naive().signed_duration_since(valid_from.date_naive()).num_days();
    u32::try_from(days).unwrap_or(0)
}

/// Whether a rate is older than [`STALE_AFTER_DAYS`] and must no longer be used for a sale.
#[must_use]
pub fn is_stale(valid_from: DateTime<Utc>, at: DateTime<Utc>) -> bool {
    age_days(valid_from, at) > STALE_AFTER_DAYS
}

#[cfg(test)]
mod tests {
    use super::{PublishedRate, RateSource, RateVersion, age_days, is_stale};

    #[test]
    fn age_is_the_difference_of_utc_dates() {
        let check = |valid_from: &str, at: &str, days: u32, stale: bool| {
            let (valid_from, at) = (valid_from.parse().unwrap(), at.parse().unwrap());
            assert_eq!((age_days(valid_from, at), is_stale(valid_from, at)), (days, stale), "{valid_from} {at}");
        };
        check("2010-12-01T00:00:00Z", "2010-12-01T23:59:59Z", 0, false);
        check("2010-12-01T23:59:59Z", "2010-12-02T00:00:00Z", 1, false);
        check("2010-12-01T00:00:00Z", "2010-12-08T23:59:59.999Z", 7, false);
        check("2010-12-01T23:00:00Z", "2010-12-09T00:00:00Z", 8, true);
        check("2010-12-02T00:00:00Z", "2010-12-01T00:00:00Z", 0, false);
    }

    #[test]
    fn a_source_is_a_short_printable_name() {
        for name in ["ecb", "manual", "a name with spaces", &"x".repeat(64)] {
            assert_eq!(name.parse::<RateSource>().unwrap().to_string(), name);
        }
        for name in ["", "é", "tab\t", "line\n", "\u{7f}", &"x".repeat(65)] {
            let error = name.parse::<RateSource>().unwrap_err().to_string();
            assert!(error.ends_with("is not a rate source: use 1 to 64 printable ASCII characters"), "{error}");
        }
    }

    #[test]
    fn a_published_rate_is_read_and_written_unchanged() {
        let json = r#"{"base":"EUR","quote":"GBP","rate":"0.848","valid_from":"2010-12-01T00:00:00Z","source":"ecb"}"#;
        let rate: PublishedRate = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&rate).unwrap(), json);
        assert!(serde_json::from_str::<PublishedRate>(&json.replace("base", "basis")).is_err());
        assert_eq!(serde_json::to_string(&RateVersion(7126)).unwrap(), "7126");
    }
}
