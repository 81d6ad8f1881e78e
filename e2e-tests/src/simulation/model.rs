//! The expected results, computed from the recorded requests, but otherwise independently of the system.
//!
//! The model takes the order of requests and their captured versions from the batch records, because several orders are
//! correct. It computes everything else by itself, from JSON, with whole numbers.

mod arithmetic;
mod ledger;
mod prices;
mod rates;
pub mod terms;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use self::arithmetic::{half_even, minor_units, units};
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
    /// The terms of each line's offer; empty if the purchase is rejected.
    pub offers: Vec<Value>,
}

impl Purchase {
    /// Whether some of its lines have limited stock.
    pub fn is_limited(&self) -> bool {
        self.offers.iter().any(terms::is_limited)
    }

    /// Whether its stock is allocated before it is charged.
    pub fn is_strict(&self) -> bool {
        self.offers.iter().any(terms::is_strict)
    }

    /// Whether some of its lines are enough.
    pub fn is_partial(&self) -> bool {
        self.request["partial"] == true
    }
}

/// A version of an offer.
#[derive(Clone, Debug)]
pub struct Version {
    /// The terms as the client sent them, but for what was recalled.
    pub terms: Value,
    /// Whether it is a recall.
    pub is_recall: bool,
}

/// The expected state of all services.
#[derive(Debug, Default)]
pub struct Model {
    /// The rates of the exchange-rate service.
    pub rates: Rates,
    /// All versions of each offer, by SKU; the first is version 1.
    pub offers: BTreeMap<String, Vec<Version>>,
    /// When the customers cancelled, by purchase.
    pub cancellations: BTreeMap<String, DateTime<Utc>>,
    /// The purchases by request id.
    pub purchases: BTreeMap<String, Purchase>,
    /// The accounts, their postings and the decisions.
    pub ledger: Ledger,
}

impl Model {
    /// Applies a recorded offer, and returns its version.
    pub fn offer(&mut self, asked: &Value) -> Checked<usize> {
        let versions = self.offers.entry(text(&asked["sku"])?).or_default();
        let is_same = versions.last().is_some_and(|last| last.terms == asked["terms"]);
        ensure!(!is_same, Repeats, "the same offer was recorded again: {asked}");
        versions.push(Version { terms: asked["terms"].clone(), is_recall: false });
        Ok(versions.len())
    }

    /// Applies a recorded recall, and returns the version with what is left.
    pub fn recall(&mut self, asked: &Value) -> Checked<(usize, &Value)> {
        let versions = self.offers.entry(text(&asked["sku"])?).or_default();
        let before = versions.last().map(|last| last.terms.clone()).ok_or_else(|| unreadable(asked))?;
        let left = before["capacity"].as_u64().zip(asked["quantity"].as_u64());
        let left = left.and_then(|(capacity, lost)| capacity.checked_sub(lost)).ok_or_else(|| unreadable(asked))?;
        let mut terms = before;
        terms["capacity"] = left.into();
        versions.push(Version { terms, is_recall: true });
        Ok((versions.len(), &versions[versions.len() - 1].terms))
    }

    /// Applies a recorded cancellation, and returns when the customer cancelled.
    pub fn cancel(&mut self, purchase: &str, asked: &Value, arrived: DateTime<Utc>) -> Checked<DateTime<Utc>> {
        let at = moment(asked, arrived)?;
        let known = self.cancellations.insert(purchase.to_owned(), at);
        ensure!(known.is_none(), Repeats, "{purchase} was cancelled twice");
        ensure!(self.purchases.contains_key(purchase), Recorded, "{purchase} was cancelled before it was there");
        Ok(at)
    }

    /// Prices a recorded purchase by its captured versions.
    pub fn purchase(&mut self, id: &str, asked: &Value, arrived: DateTime<Utc>) -> Checked<&Purchase> {
        let request = &asked["request"];
        let at = moment(request, arrived)?;
        let captured = asked["captured"]["rates"].as_u64().and_then(|captured| usize::try_from(captured).ok());
        let offers = self.captured_offers(id, asked)?;
        let verdict = captured.and_then(|captured| prices::price(request, &offers, at, &self.rates, captured));
        let mut verdict = verdict.ok_or_else(|| unreadable(asked))?;
        let terms: Vec<_> = offers.into_iter().flatten().collect();
        if verdict.is_ok() && terms::is_refused_by_sight(request, &terms, &asked["captured"]["allocated"]) {
            verdict = Err("sold_out");
        }
        let account = format!("customer:{}", text(&request["customer"])?);
        let offers = if verdict.is_ok() { terms.into_iter().cloned().collect() } else { Vec::new() };
        let purchase = Purchase { request: request.clone(), verdict, account, offers };
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
            terms.push(versions.and_then(|versions| versions.last()).map(|version| &version.terms));
        }
        let targets =
            terms.iter().flatten().filter(|terms| terms::is_limited(terms)).flat_map(|of| terms::upgrades(of));
        for sku in targets {
            let (pin, newest) = (&asked["captured"]["upgrades"][sku], self.offers.get(sku).map_or(0, Vec::len));
            ensure!(pin.as_u64() == u64::try_from(newest).ok(), Price, "{id} captured {sku} {pin}, not {newest}");
        }
        Ok(terms)
    }
}

/// When a request says that it happened: when it arrived, unless it says otherwise.
fn moment(request: &Value, arrived: DateTime<Utc>) -> Checked<DateTime<Utc>> {
    match request.get("occurred_at").and_then(Value::as_str) {
        Some(at) => at.parse().map_err(|_| unreadable(request)),
        None => Ok(arrived),
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
