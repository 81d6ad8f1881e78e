//! Names, ids and moments that no other scenario uses, so that scenarios can share a system; seeded random numbers.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The number of days to choose from, which are in the years 2100 to 2890. No other rates are valid from then on, so
/// scenarios can set rates of common currencies without affecting each other.
const DAYS: u64 = 288_000;
/// The number of scenarios that import ECB files.
const IMPORTS: u64 = 3;
/// The number of Saturdays for each of these scenarios, from 1999 to 2026.
const SATURDAYS: u64 = 470;

/// Unique names and a unique day for one scenario.
pub struct Namespace {
    tag: u64,
    /// Noon of a day on which no other scenario sets rates. Rates of the scenario are valid from here on.
    pub moment: DateTime<Utc>,
}

impl Namespace {
    /// A namespace with a day after 2100.
    pub fn new() -> Self {
        Self::on_day(|tag| NaiveDate::from_ymd_opt(2100, 1, 1).unwrap() + Days::new(tag % DAYS))
    }

    /// A namespace for the import of ECB files, which cannot contain days before 1999 or in the future. Its day is a
    /// Saturday, for which the ECB publishes no rates. Scenarios with different numbers never get the same day.
    pub fn on_a_saturday(scenario: u64) -> Self {
        assert!(scenario < IMPORTS);
        let first = NaiveDate::from_ymd_opt(1999, 1, 9).unwrap();
        Self::on_day(|tag| first + Days::new(7 * (tag % SATURDAYS * IMPORTS + scenario)))
    }

    fn on_day(day: impl FnOnce(u64) -> NaiveDate) -> Self {
        let tag = RandomState::new().build_hasher().finish();
        Self { tag, moment: day(tag).and_hms_opt(12, 0, 0).unwrap().and_utc() }
    }

    /// A unique form of a name, such as `alice-3f…`.
    pub fn name(&self, name: impl std::fmt::Display) -> String {
        format!("{name}-{:016x}", self.tag)
    }

    /// The JSON of a purchase of one item of each SKU at [`Namespace::moment`].
    pub fn order(&self, customer: &str, pay_in: &str, skus: &[&str]) -> Value {
        let lines: Vec<_> = skus.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect();
        json!({"customer": customer, "pay_in": pay_in, "lines": lines, "occurred_at": timestamp(self.moment)})
    }
}

/// Formats a time as RFC 3339 in UTC with `Z`, which needs no escaping in a query.
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A seeded random number generator (`SplitMix64`), so that a failing run can be repeated.
pub struct Random(pub u64);

impl Random {
    /// The next number, from 0 to `limit - 1`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
