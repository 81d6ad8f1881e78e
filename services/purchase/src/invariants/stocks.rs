//! The stock: what is allocated is the sum of the held allocations; once quiet, a line is kept exactly if it has an
//! allocation or a place in a queue; and a purchase has paid what it kept.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use contracts::{AllocationState, Place, Sku};
use money::Amount;
use stage::{Quiescence, RequestId, Violation};

use crate::allocate::{AllocationRow, StockRow};
use crate::settle::SettlementRow;

/// Compares stocks, allocations and settlements. It remembers one entry for each product, and none for a purchase.
#[derive(Debug, Default)]
pub struct Stocks {
    products: BTreeMap<Sku, Product>,
    /// A sum of hashes of the lines that have stock.
    with_stock: u128,
    /// A sum of hashes of the lines that are kept. Equal sums are equal sets, but for one chance in 2^128.
    kept: u128,
    violations: Vec<Violation>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Product {
    allocated: i128,
    waiting: i128,
    is_recalling: bool,
}

impl Stocks {
    /// Adds a stock.
    pub fn stock(&mut self, row: &StockRow) {
        let product = self.products.entry(row.sku.clone()).or_default();
        product.allocated += i128::from(row.allocated);
        product.waiting += i128::from(row.waiting);
        product.is_recalling = row.recall_from.is_some();
    }

    /// Adds an allocation.
    pub fn allocation(&mut self, row: &AllocationRow) {
        let product = self.products.entry(row.sku.clone()).or_default();
        match row.state {
            AllocationState::Held => product.allocated -= i128::from(row.quantity.get()),
            AllocationState::Queued => product.waiting -= 1,
            AllocationState::Gone | AllocationState::Moved => return,
        }
        let place = Place { sku: row.sku.clone(), number: row.number };
        self.with_stock = self.with_stock.wrapping_add(hash(&row.purchase, row.line, &place));
    }

    /// Adds the state of a purchase.
    pub fn settlement(&mut self, row: &SettlementRow) {
        for (line, place) in row.state.kept_places() {
            self.kept = self.kept.wrapping_add(hash(&row.purchase, line, place));
        }
        if let Err(what) = paid_what_it_kept(row) {
            self.violations.push(Violation { place: format!("purchase {}", row.purchase), what });
        }
    }

    /// Whether lines are kept without stock, or have stock without being kept. Only a quiet system must have none.
    pub fn is_apart(&self) -> bool {
        self.kept != self.with_stock
    }

    /// The violations, once all rows are added.
    pub fn close(mut self, quiescence: Quiescence) -> Vec<Violation> {
        for (sku, product) in &self.products {
            let mut violate = |what: String| self.violations.push(Violation { place: format!("stock {sku}"), what });
            if product.allocated != 0 {
                violate(format!("counts {} more pieces than its allocations hold", product.allocated));
            }
            if product.waiting != 0 {
                violate(format!("counts {} more lines in its queue than there are", product.waiting));
            }
            if quiescence == Quiescence::Reached && product.is_recalling {
                violate("is being recalled, although nothing is in flight".to_owned());
            }
        }
        if quiescence == Quiescence::Reached && self.is_apart() {
            let what = "lines that are kept and lines that have an allocation are not the same".to_owned();
            self.violations.push(Violation { place: "allocations".to_owned(), what });
        }
        self.violations
    }
}

fn paid_what_it_kept(row: &SettlementRow) -> Result<(), String> {
    let Some(paid) = row.state.paid else { return Ok(()) };
    let value = row.state.kept_value().map_err(|error| error.to_string())?;
    let Some(value) = value else { return Err("has paid without terms".to_owned()) };
    if row.state.outcome.is_some() && paid != value {
        return Err(format!("has paid {} for what is worth {}", paid.charged, value.charged));
    }
    let planned = row.state.plan.as_ref().map(|plan| plan.charged);
    let first = row.charged().map_or(planned, |paid| Some(paid.charged)).map(money::Money::amount);
    let returned = row.returned().refunds.iter().map(|money| money.amount()).reduce(|sum, amount| sum + amount);
    let left = first.map(|first| first - returned.unwrap_or(Amount::zero(paid.charged.currency())));
    if left == Some(paid.charged.amount()) {
        Ok(())
    } else {
        Err("its refunds are not what it paid too much".to_owned())
    }
}

fn hash(purchase: &RequestId, line: u32, place: &Place) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, &purchase.0, line, place.sku.as_str(), place.number).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use contracts::LineDecision;
    use contracts::{Decision, PurchasePlan};
    use rules::{PurchaseEvent, Settlement, Stock};
    use stage::Partition;

    use super::*;

    const PLAN: &str = r#"{"customer":"1","occurred_at":"2026-01-01T00:00:00Z",
        "total":{"amount":"10.00","currency":"EUR"},"charged":{"amount":"10.00","currency":"EUR"},"conversion":"same",
        "lines":[{"sold":{"sku":"x","quantity":1,"unit_price":{"amount":"10.00","currency":"EUR"}},"is_limited":true}]}"#;

    fn stock(allocated: u64) -> StockRow {
        let stock = Stock { version: 1, ceiling: Some(5), allocated, newest: 1, ..Stock::default() };
        StockRow::new(&"x".parse().unwrap(), &stock)
    }

    fn allocation(state: AllocationState) -> AllocationRow {
        AllocationRow {
            sku: "x".parse().unwrap(),
            number: 1,
            purchase: RequestId("p".to_owned()),
            line: 0,
            customer: "1".parse().unwrap(),
            quantity: money::Quantity::new(1).unwrap(),
            step: 0,
            limit_used: Some(5),
            state,
            ladder: Vec::new(),
        }
    }

    fn settled() -> SettlementRow {
        let mut state = Settlement::default();
        let plan: PurchasePlan = serde_json::from_str(PLAN).unwrap();
        let place = Place { sku: "x".parse().unwrap(), number: 1 };
        let decided = vec![LineDecision { line: 0, step: 0, decision: Decision::Held(place) }];
        for event in [PurchaseEvent::Placed(plan), PurchaseEvent::Decided(decided), PurchaseEvent::PaymentPosted] {
            state.apply(event).unwrap();
        }
        let (purchase, corrections) = (RequestId("p".to_owned()), Vec::new());
        SettlementRow { purchase, state, corrections, partition: Partition(0) }
    }

    fn check(allocated: u64, state: AllocationState, settlement: &SettlementRow, expected: &[&str]) {
        let mut stocks = Stocks::default();
        stocks.stock(&stock(allocated));
        stocks.allocation(&allocation(state));
        stocks.settlement(settlement);
        let places: Vec<_> = stocks.close(Quiescence::Reached).into_iter().map(|violation| violation.place).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn allocated_pieces_are_those_of_the_held_allocations() {
        check(1, AllocationState::Held, &settled(), &[]);
        check(2, AllocationState::Held, &settled(), &["stock x"]);
    }

    #[test]
    fn a_line_is_kept_exactly_if_it_has_stock() {
        check(0, AllocationState::Gone, &settled(), &["allocations"]);
        let mut lost = settled();
        lost.state.lines.clear();
        check(1, AllocationState::Held, &lost, &["allocations"]);
    }

    #[test]
    fn a_purchase_has_paid_what_it_kept() {
        let mut dropped = settled();
        dropped.state.dropped.insert(0, rules::Dropped::Lost);
        check(0, AllocationState::Gone, &dropped, &["purchase p"]);
    }
}
