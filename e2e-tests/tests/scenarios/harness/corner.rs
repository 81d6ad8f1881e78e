//! Names, ids and moments that no other scenario uses, on whatever system.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Moments are days of 2100 to 2890: long after any rate that somebody needs, so that scenarios set rates of common
/// currencies without meeting each other's.
const DAYS: u64 = 288_000;
/// Scenarios that send files of the ECB.
const IMPORTS: u64 = 3;
/// So many Saturdays each of them has, from 1999 to 2026.
const SATURDAYS: u64 = 470;

/// A corner of the world for one scenario.
pub struct Corner {
    tag: u64,
    /// Noon of a day with nobody else's rates; rates set by a scenario hold from here on.
    pub moment: DateTime<Utc>,
}

impl Corner {
    /// A new one.
    pub fn new() -> Self {
        Self::on_day(|tag| NaiveDate::from_ymd_opt(2100, 1, 1).unwrap() + Days::new(tag % DAYS))
    }

    /// A new one for files of the ECB, which have no days before 1999 and none to come: a Saturday, for which it publishes
    /// nothing. Scenarios with different numbers never meet on one.
    pub fn without_rates_of_the_ecb(scenario: u64) -> Self {
        assert!(scenario < IMPORTS);
        let first = NaiveDate::from_ymd_opt(1999, 1, 9).unwrap();
        Self::on_day(|tag| first + Days::new(7 * (tag % SATURDAYS * IMPORTS + scenario)))
    }

    fn on_day(day: impl FnOnce(u64) -> NaiveDate) -> Self {
        let tag = RandomState::new().build_hasher().finish();
        Self { tag, moment: day(tag).and_hms_opt(12, 0, 0).unwrap().and_utc() }
    }

    /// `alice-3f…`.
    pub fn name(&self, name: impl std::fmt::Display) -> String {
        format!("{name}-{:016x}", self.tag)
    }

    /// A purchase of one piece of each sku on the corner's day.
    pub fn order(&self, customer: &str, pay_in: &str, skus: &[&str]) -> Value {
        let lines: Vec<_> = skus.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect();
        json!({"customer": customer, "pay_in": pay_in, "lines": lines, "occurred_at": timestamp(self.moment)})
    }
}

/// As clients write it, and fit for a query.
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Numbers from a seed (`SplitMix64`), so that a failing run can be repeated.
pub struct Dice(pub u64);

impl Dice {
    /// The next, below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
