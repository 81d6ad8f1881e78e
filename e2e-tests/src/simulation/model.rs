//! The expected results, computed from the recorded requests, but otherwise independently of the system.
//!
//! The model takes the order of requests and their captured versions from the batch records, because several orders are
//! correct. It computes everything else by itself, from JSON, with whole numbers.

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

/// The expected result of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The request as the client sent it.
    pub request: Value,
    /// Its price, or the reason code of its rejection.
    pub verdict: Result<Priced, &'static str>,
    /// The account that pays.
    pub account: String,
}

/// The expected state of all services.
#[derive(Debug, Default)]
pub struct Model {
    /// The rates of the exchange-rate service.
    pub rates: Rates,
    /// All versions of the terms of each offer, by SKU.
    pub offers: BTreeMap<String, Vec<Value>>,
    /// The purchases by request id.
    pub purchases: BTreeMap<String, Purchase>,
    /// The accounts, their postings and the decisions.
    pub ledger: Ledger,
}

impl Model {
    /// Applies a recorded offer, and returns its version.
    pub fn offer(&mut self, asked: &Value) -> Checked<usize> {
        let versions = self.offers.entry(text(&asked["sku"])?).or_default();
        ensure!(versions.last() != Some(&asked["terms"]), Repeats, "the same offer was recorded again: {asked}");
        versions.push(asked["terms"].clone());
        Ok(versions.len())
    }

    /// Prices a recorded purchase by its captured versions.
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

    /// The terms of each line's offer. The captured versions must be the newest.
    fn captured_offers(&self, id: &str, asked: &Value) -> Checked<Vec<Option<&Value>>> {
        let (lines, pins) = (asked["request"]["lines"].as_array(), asked["captured"]["offers"].as_array());
        let (lines, pins) = lines.zip(pins).ok_or_else(|| unreadable(asked))?;
        ensure!(lines.len() == pins.len(), Price, "{id} has {} lines, but {} versions", lines.len(), pins.len());
        let mut terms = Vec::new();
        for (line, pin) in lines.iter().zip(pins) {
            let versions = self.offers.get(&text(&line["sku"])?);
            let newest = versions.map_or(0, Vec::len);
            ensure!(pin.as_u64() == u64::try_from(newest).ok(), Price, "{id} captured {pin}, not {newest}: {line}");
            terms.push(versions.and_then(|versions| versions.last()));
        }
        Ok(terms)
    }
}

/// The string in a JSON value.
pub fn text(value: &Value) -> Checked<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| unreadable(value))
}

/// The violation for recorded JSON with unexpected content.
pub fn unreadable(value: &Value) -> Violation {
    Violation { invariant: super::violation::Invariant::Recorded, what: format!("unexpected JSON: {value}") }
}
