//! The stock: what is allocated is the sum of the held allocations, and within the limit of the last of them; a purchase
//! has paid what it kept. Once quiet, a line is kept exactly if it has an allocation or a place in a queue, nobody waits
//! for pieces that are free, and every cancellation has its end.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use contracts::{AllocationState, Place, Sku};
use money::Amount;
use stage::{Quiescence, RequestId, Violation};

use crate::allocate::{AllocationRow, StockRow};
use crate::settle::SettlementRow;

/// Compares stocks, allocations and settlements. It remembers one entry for each product, and none for a purchase
/// except while it is being cancelled.
#[derive(Debug, Default)]
pub struct Stocks {
    products: BTreeMap<Sku, Product>,
    /// A sum of hashes of the lines that have stock.
    with_stock: u128,
    /// A sum of hashes of the lines that are kept. Equal sums are equal sets, but for one chance in 2^128.
    kept: u128,
    /// The purchases whose cancellation has no end yet.
    cancelling: BTreeSet<RequestId>,
    violations: Vec<Violation>,
}

/// What the rows of a product say. Its counts minus its allocations must be zero.
#[derive(Debug, Default, PartialEq, Eq)]
struct Product {
    allocated: i128,
    waiting: i128,
    is_recalling: bool,
    ceiling: Option<u64>,
    /// The number of pieces of the held allocations.
    held: u64,
    /// The largest limit of a held allocation. When the last of them was held, all of them were within its limit, and
    /// pieces that were held later are gone.
    limit: u64,
    /// The first allocation that waits, and its number of pieces.
    head: Option<(u64, u64)>,
}

impl Stocks {
    /// Adds a stock.
    pub fn stock(&mut self, row: &StockRow) {
        let product = self.products.entry(row.sku.clone()).or_default();
        product.allocated += i128::from(row.allocated);
        product.waiting += i128::from(row.waiting);
        product.is_recalling = row.recall_from.is_some();
        product.ceiling = row.ceiling;
    }

    /// Adds an allocation.
    pub fn allocation(&mut self, row: &AllocationRow) {
        let product = self.products.entry(row.sku.clone()).or_default();
        let pieces = u64::from(row.quantity.get());
        match row.state {
            AllocationState::Held => {
                product.allocated -= i128::from(pieces);
                product.held += pieces;
                product.limit = product.limit.max(row.limit_used.unwrap_or(u64::MAX));
            }
            AllocationState::Queued => {
                product.waiting -= 1;
                let first = product.head.unwrap_or((row.number, pieces));
                product.head = Some(first.min((row.number, pieces)));
            }
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
        if row.state.cancellation.is_some() && !row.is_cancellation_over() {
            self.cancelling.insert(row.purchase.clone());
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
            if product.held > product.limit {
                violate(format!("holds {} pieces, but was never allowed more than {}", product.held, product.limit));
            }
            if quiescence == Quiescence::Reached && product.is_recalling {
                violate("is being recalled, although nothing is in flight".to_owned());
            }
            if quiescence == Quiescence::Reached && product.could_serve() {
                violate("has free pieces for who waits, although nothing is in flight".to_owned());
            }
        }
        if quiescence == Quiescence::Reached {
            let what = "is being cancelled, although nothing is in flight";
            let open = |purchase| Violation { place: format!("purchase {purchase}"), what: what.to_owned() };
            self.violations.extend(std::mem::take(&mut self.cancelling).into_iter().map(open));
        }
        if quiescence == Quiescence::Reached && self.is_apart() {
            let what = "lines that are kept and lines that have an allocation are not the same".to_owned();
            self.violations.push(Violation { place: "allocations".to_owned(), what });
        }
        self.violations
    }
}

impl Product {
    /// Whether the first line in the queue could be served, or needs more than there will ever be.
    fn could_serve(&self) -> bool {
        let Some((_, pieces)) = self.head else { return false };
        self.ceiling.is_none_or(|ceiling| pieces > ceiling || self.held + pieces <= ceiling)
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
    fn what_is_held_is_within_the_limit_of_an_allocation() {
        let check = |pieces: u64, limits: &[Option<u64>], expected: &[&str]| {
            let mut stocks = Stocks::default();
            stocks.stock(&stock(pieces * limits.len() as u64));
            for (number, limit_used) in (1..).zip(limits.iter().copied()) {
                let quantity = money::Quantity::new(pieces).unwrap();
                let row = allocation(AllocationState::Held);
                stocks.allocation(&AllocationRow { number, quantity, limit_used, ..row });
            }
            let violations = stocks.close(Quiescence::Pending).into_iter().map(|violation| violation.what);
            assert_eq!(violations.collect::<Vec<_>>(), expected);
        };
        check(2, &[Some(3), Some(4)], &[]);
        check(2, &[Some(1), None], &[]);
        check(2, &[Some(3), Some(3)], &["holds 4 pieces, but was never allowed more than 3"]);
    }

    #[test]
    fn nobody_waits_for_free_pieces() {
        let check = |allocated: u64, pieces: u64, quiescence, expected: &[&str]| {
            let mut stocks = Stocks::default();
            stocks.stock(&StockRow { waiting: 2, ..stock(allocated) });
            let quantity = |pieces: u64| money::Quantity::new(pieces).unwrap();
            let held = allocation(AllocationState::Held);
            stocks.allocation(&AllocationRow { quantity: quantity(allocated), ..held.clone() });
            // The later one would fit, but it is not its turn.
            for (number, pieces) in [(3, 1), (2, pieces)] {
                let waits = AllocationRow { state: AllocationState::Queued, number, limit_used: None, ..held.clone() };
                stocks.allocation(&AllocationRow { quantity: quantity(pieces), ..waits });
            }
            stocks.kept = stocks.with_stock;
            let places = stocks.close(quiescence).into_iter().map(|violation| violation.place);
            assert_eq!(places.collect::<Vec<_>>(), expected);
        };
        check(4, 2, Quiescence::Reached, &[]);
        check(4, 1, Quiescence::Reached, &["stock x"]);
        check(4, 1, Quiescence::Pending, &[]);
        // It needs more than there will ever be.
        check(4, 6, Quiescence::Reached, &["stock x"]);
    }

    #[test]
    fn every_cancellation_ends() {
        let mut cancelled = settled();
        cancelled.state.cancellation = Some(rules::Cancellation::Applied);
        check(1, AllocationState::Held, &cancelled, &["purchase p"]);
        cancelled.state.cancellation = Some(rules::Cancellation::Completed);
        check(1, AllocationState::Held, &cancelled, &[]);
    }

    #[test]
    fn a_purchase_has_paid_what_it_kept() {
        let mut dropped = settled();
        dropped.state.dropped.insert(0, rules::Dropped::Lost);
        check(0, AllocationState::Gone, &dropped, &["purchase p"]);
    }
}
