//! The published rates, and the rates that apply to a conversion, found by a search through all versions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A pair of currencies, base first.
pub type Pair = (String, String);

/// One version of the rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Start of their validity.
    pub valid_from: DateTime<Utc>,
    /// Source of the rates.
    pub source: String,
    /// New and changed rates.
    pub rates: BTreeMap<Pair, String>,
    /// Whether it completes the history.
    pub complete: bool,
}

/// A rate that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Base currency.
    pub base: String,
    /// Quote currency.
    pub quote: String,
    /// Units of the quote currency for one unit of the base currency.
    pub rate: String,
    /// Start of its validity.
    pub valid_from: DateTime<Utc>,
}

/// The conversion of one currency into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Both currencies are the same.
    Same,
    /// The rate of the pair is published.
    Direct(Used),
    /// The rate of the inverse pair is published.
    Inverse(Used),
    /// The euro's rates to both are published: the amount is divided by the first and multiplied by the second.
    Cross(Used, Used),
}

impl Way {
    /// Start of the validity of its oldest rate; `None` if it uses no rate.
    pub fn valid_from(&self) -> Option<DateTime<Utc>> {
        match self {
            Way::Same => None,
            Way::Direct(used) | Way::Inverse(used) => Some(used.valid_from),
            Way::Cross(base, quote) => Some(base.valid_from.min(quote.valid_from)),
        }
    }
}

/// All versions of the rates, in order; the first is version 1.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// All versions.
    pub versions: Vec<Version>,
    held: BTreeMap<DateTime<Utc>, BTreeMap<Pair, String>>,
}

impl Rates {
    /// Applies a recorded request. Returns the number of late moments and of corrected rates.
    pub fn record(&mut self, asked: &Value, arrived: DateTime<Utc>) -> Option<(u64, u64)> {
        let (mut late, mut corrected) = (0, 0);
        let source = asked["source"].as_str()?.to_owned();
        for moment in asked["moments"].as_array()? {
            let valid_from = moment["valid_from"].as_str()?.parse().ok()?;
            let newest = self.held.keys().next_back().copied();
            let held = self.held.entry(valid_from).or_default();
            let mut changed = BTreeMap::new();
            for (base, quotes) in moment["rates"].as_object()? {
                for (quote, rate) in quotes.as_object()? {
                    let (pair, rate) = ((base.clone(), quote.clone()), rate.as_str()?.to_owned());
                    let before = held.insert(pair.clone(), rate.clone());
                    if before.as_ref() != Some(&rate) {
                        corrected += u64::from(before.is_some());
                        changed.insert(pair, rate);
                    }
                }
            }
            if !changed.is_empty() {
                late += u64::from(newest > Some(valid_from));
                self.versions.push(Version { valid_from, source: source.clone(), rates: changed, complete: false });
            }
        }
        let complete = self.versions.iter().any(|version| version.complete);
        if asked["completes_history"].as_bool()? && !complete {
            self.versions.push(Version { valid_from: arrived, source, rates: BTreeMap::new(), complete: true });
        }
        Some((late, corrected))
    }

    /// The conversion of `from` into `into` at a moment, by the first `captured` versions.
    pub fn way(&self, from: &str, into: &str, at: DateTime<Utc>, captured: usize) -> Option<Way> {
        if from == into {
            return Some(Way::Same);
        }
        let newest = |base: &str, quote: &str| self.newest(base, quote, at, captured);
        let mut best = newest(from, into).map(Way::Direct);
        let inverse = newest(into, from).map(Way::Inverse);
        let cross = newest("EUR", from).zip(newest("EUR", into)).map(|(base, quote)| Way::Cross(base, quote));
        for other in [inverse, cross].into_iter().flatten() {
            if best.as_ref().is_none_or(|best| other.valid_from() > best.valid_from()) {
                best = Some(other);
            }
        }
        best
    }

    fn newest(&self, base: &str, quote: &str, at: DateTime<Utc>, captured: usize) -> Option<Used> {
        let mut newest: Option<Used> = None;
        for version in self.versions.iter().take(captured).filter(|version| version.valid_from <= at) {
            let rate = version.rates.get(&(base.to_owned(), quote.to_owned()));
            if let Some(rate) = rate
                && newest.as_ref().is_none_or(|newest| newest.valid_from <= version.valid_from)
            {
                let (base, quote, rate) = (base.to_owned(), quote.to_owned(), rate.clone());
                newest = Some(Used { base, quote, rate, valid_from: version.valid_from });
            }
        }
        newest
    }
}
