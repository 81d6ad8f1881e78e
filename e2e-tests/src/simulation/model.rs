//! What the system should come to, computed from what was recorded and in no other way the same.
//!
//! It takes the order of requests and the versions they were judged by from the batch records, since
//! several orders are right; everything else it computes by itself, from JSON, with whole numbers.

mod arithmetic;
mod ledger;
mod prices;
mod rates;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use self::arithmetic::{minor_units, units};
pub use self::ledger::{Decided, Ledger};
pub use self::prices::Priced;
pub use self::rates::{Rates, Used, Way};

use super::violation::{Checked, Violation, ensure};

/// A purchase as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// What the client sent.
    pub request: Value,
    /// Its price, or the code of the reason for none.
    pub verdict: Result<Priced, &'static str>,
    /// Who pays.
    pub account: String,
}

/// Everything that should be.
#[derive(Debug, Default)]
pub struct Model {
    /// The rates as their owner has them.
    pub rates: Rates,
    /// The terms of each offer, all versions.
    pub offers: BTreeMap<String, Vec<Value>>,
    /// The purchases by request id.
    pub purchases: BTreeMap<String, Purchase>,
    /// The books.
    pub ledger: Ledger,
}

impl Model {
    /// Sets an offer that was recorded.
    pub fn offer(&mut self, asked: &Value) -> Checked<usize> {
        let versions = self.offers.entry(text(&asked["sku"])?).or_default();
        ensure!(versions.last() != Some(&asked["terms"]), Repeats, "the same offer was recorded again: {asked}");
        versions.push(asked["terms"].clone());
        Ok(versions.len())
    }

    /// Judges a purchase that was recorded with these versions.
    pub fn purchase(&mut self, id: &str, asked: &Value, arrived: DateTime<Utc>) -> Checked<&Purchase> {
        let request = &asked["request"];
        let at = match request.get("occurred_at").and_then(Value::as_str) {
            Some(at) => at.parse().map_err(|_| unreadable(asked))?,
            None => arrived,
        };
        let captured = asked["captured"]["rates"].as_u64().and_then(|captured| usize::try_from(captured).ok());
        let offers = self.captured_offers(id, asked)?;
        let verdict = captured.and_then(|captured| prices::price(request, &offers, at, &self.rates, captured));
        let verdict = verdict.ok_or_else(|| unreadable(asked))?;
        let account = format!("customer:{}", text(&request["customer"])?);
        let purchase = Purchase { request: request.clone(), verdict, account };
        let known = self.purchases.insert(id.to_owned(), purchase);
        ensure!(known.is_none(), Repeats, "{id} was recorded twice");
        Ok(&self.purchases[id])
    }

    /// The terms of each line's offer. The versions pinned must be the newest.
    fn captured_offers(&self, id: &str, asked: &Value) -> Checked<Vec<Option<&Value>>> {
        let (lines, pins) = (asked["request"]["lines"].as_array(), asked["captured"]["offers"].as_array());
        let (lines, pins) = lines.zip(pins).ok_or_else(|| unreadable(asked))?;
        ensure!(lines.len() == pins.len(), Price, "{id} has {} lines and {} pins", lines.len(), pins.len());
        let mut terms = Vec::new();
        for (line, pin) in lines.iter().zip(pins) {
            let versions = self.offers.get(&text(&line["sku"])?);
            let newest = versions.map_or(0, Vec::len);
            ensure!(pin.as_u64() == u64::try_from(newest).ok(), Price, "{id} is judged by {pin}, not {newest}: {line}");
            terms.push(versions.and_then(|versions| versions.last()));
        }
        Ok(terms)
    }
}

/// A text in JSON.
pub fn text(value: &Value) -> Checked<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| unreadable(value))
}

/// Recorded JSON that cannot be what it should be.
pub fn unreadable(value: &Value) -> Violation {
    Violation { invariant: super::violation::Invariant::Recorded, what: format!("this cannot be read: {value}") }
}
