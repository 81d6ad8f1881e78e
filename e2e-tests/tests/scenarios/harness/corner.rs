//! Names, ids and moments that no other scenario uses, on whatever system.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Moments are days of 2100 to 2890 (or of 1100 to 1890): long after any rate that somebody needs, so that scenarios set rates of common
/// currencies without meeting each other's.
const DAYS: u64 = 288_000;

/// A corner of the world for one scenario.
pub struct Corner {
    tag: u64,
    /// Noon of a day with nobody else's rates; rates set by a scenario hold from here on.
    pub moment: DateTime<Utc>,
}

impl Corner {
    /// A new one.
    pub fn new() -> Self {
        Self::in_the_centuries_from(2100)
    }

    /// A new one for files of the ECB, which have no days to come: long before any rate.
    pub fn past() -> Self {
        Self::in_the_centuries_from(1100)
    }

    fn in_the_centuries_from(year: i32) -> Self {
        let tag = RandomState::new().build_hasher().finish();
        let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
        let day = first + Days::new(tag % DAYS);
        Self { tag, moment: day.and_hms_opt(12, 0, 0).unwrap().and_utc() }
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
