//! Checks of stock: each allocation changes in one direction, what is held stays within the limit that it was held by,
//! and a recall leaves no more than it should.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{AllocationState, Sku};
use purchase::allocate::{AllocationRow, StockRow};
use rules::Dropped;
use serde_json::Value;
use stage::{Cell, FrameRange, Row as _};

use super::Checks;
use crate::simulation::coverage::Hit;
use crate::simulation::model::{self, Version, terms};
use crate::simulation::scene::{Scene, now};
use crate::simulation::violation::{Checked, ensure, stopped};

/// A product as it was last seen.
#[derive(Debug, Default)]
struct Product {
    stock: Option<StockRow>,
    allocations: BTreeMap<u64, AllocationRow>,
    /// The numbers of the allocations that are held or wait.
    live: BTreeSet<u64>,
    /// All numbers of allocated pieces that a reader of the table may have seen.
    allocated: BTreeSet<u64>,
}

/// The products that were seen so far.
#[derive(Debug, Default)]
pub(super) struct Products(BTreeMap<Sku, Product>);

/// An allocation that a batch wrote.
struct Change {
    before: Option<AllocationRow>,
    after: AllocationRow,
}

impl Change {
    fn was(&self, state: AllocationState) -> bool {
        self.before.as_ref().is_some_and(|before| before.state == state)
    }

    fn is(&self, state: AllocationState) -> bool {
        self.after.state == state
    }

    /// Whether it may have been held in this batch, if only for a moment.
    fn may_be_held(&self) -> bool {
        !self.was(AllocationState::Held) && !self.is(AllocationState::Queued)
    }

    /// Checks that only what may change has changed.
    fn check(&self) -> Checked {
        let Self { before, after } = self;
        let Some(before) = before else { return Ok(()) };
        let may_follow = match before.state {
            AllocationState::Queued => true,
            AllocationState::Held => after.state != AllocationState::Queued,
            AllocationState::Gone | AllocationState::Moved => false,
        };
        let limit_used = if self.was(AllocationState::Queued) { after.limit_used } else { before.limit_used };
        let same = AllocationRow { state: after.state, limit_used, ..before.clone() };
        ensure!(may_follow && same == *after, Stock, "{before:?} became {after:?}");
        Ok(())
    }
}

impl Checks {
    /// Checks what a batch of `allocate` wrote.
    pub(super) fn allocated(&mut self, ranges: &[FrameRange], scene: &mut Scene<'_>) -> Checked {
        let facts = self.facts_of(ranges);
        let mut touched = BTreeSet::new();
        for fact in &facts {
            let lines = fact["data"]["lines"].as_array().into_iter().flatten().map(|line| &line["ladder"][0]["sku"]);
            for sku in lines.chain([&fact["data"]["sku"]]).filter(|sku| !sku.is_null()) {
                touched.insert(model::text(sku)?.parse::<Sku>().map_err(|error| stopped(&error))?);
            }
        }
        for sku in touched {
            self.already_gone(&sku, &facts, scene);
            let before = self.products.0.get(&sku).and_then(|product| product.stock.clone());
            let released: BTreeSet<_> = released(&sku, &facts).collect();
            let product = self.products.0.entry(sku.clone()).or_default();
            let changes = product.look(&sku, &released, &self.stores.purchase)?;
            changes.iter().try_for_each(Change::check)?;
            self.is_within_limits(&sku, before.as_ref(), &changes)?;
            self.cover_changes(&sku, &facts, &changes, scene);
        }
        Ok(())
    }

    /// Checks the number of allocated pieces after a batch.
    fn is_within_limits(&self, sku: &Sku, before: Option<&StockRow>, changes: &[Change]) -> Checked {
        let Some((product, stock)) = self.products.0.get(sku).and_then(|of| of.stock.as_ref().map(|stock| (of, stock)))
        else {
            return Ok(());
        };
        let (held, waiting) = product.counts();
        ensure!(
            (stock.allocated, stock.waiting) == (held, waiting),
            Stock,
            "{sku} counts {} allocated pieces and {} lines that wait, and not {held} and {waiting}",
            stock.allocated,
            stock.waiting
        );
        let versions = self.model.offers.get(sku.as_str()).map(Vec::as_slice).unwrap_or_default();
        let (known, was_allocated) = before.map_or((0, 0), |before| (before.version, before.allocated));
        let held_now: Vec<_> = changes.iter().filter(|change| change.may_be_held()).collect();
        for Change { after, .. } in held_now.iter().filter(|change| change.is(AllocationState::Held)) {
            let limit = after.limit_used;
            let is_of_a_version = limits_from(versions, known).any(|of| of == limit);
            ensure!(is_of_a_version, Stock, "{sku} {} was held by the limit {limit:?}, unknown", after.number);
        }
        // The last line that was held was within its limit, and since then there are only fewer pieces.
        let limits = held_now.iter().map(|change| change.after.limit_used.unwrap_or(u64::MAX));
        let limit = limits.max().unwrap_or_default().max(was_allocated);
        ensure!(held <= limit, Stock, "{sku} holds {held} pieces, and may hold {limit}");
        let recalls =
            versions.iter().zip(1..).filter(|(version, number)| version.is_recall && *number <= stock.version);
        if let Some((_, recall)) = recalls.last().filter(|_| stock.recall_from.is_none()) {
            let left = limits_from(versions, recall).map(|limit| limit.unwrap_or(u64::MAX)).max();
            let left = left.unwrap_or(u64::MAX);
            ensure!(held <= left, Stock, "{sku} holds {held} pieces after the recall {recall} left {left}");
        }
        Ok(())
    }

    /// Counts the releases of allocations that are gone already.
    fn already_gone(&self, sku: &Sku, facts: &[Value], scene: &mut Scene<'_>) {
        let Some(product) = self.products.0.get(sku) else { return };
        for number in released(sku, facts) {
            let row = product.allocations.get(&number);
            if row.is_some_and(|row| matches!(row.state, AllocationState::Gone | AllocationState::Moved)) {
                scene.hit(Hit::AlreadyGone);
            }
        }
    }

    fn cover_changes(&self, sku: &Sku, facts: &[Value], changes: &[Change], scene: &mut Scene<'_>) {
        let of_type = facts.iter().filter(|fact| fact["data"]["sku"] == sku.as_str());
        let (is_raised, is_continued) = of_type.fold((false, false), |(raised, continued), fact| {
            (raised || fact["type"] == "StockLimited", continued || fact["type"] == "StockContinued")
        });
        if is_continued {
            scene.hit(Hit::WorkContinued);
        }
        let released: BTreeSet<_> = released(sku, facts).collect();
        for change in changes {
            let (row, was_live) = (&change.after, change.before.is_some());
            let asked = self.model.purchases.get(&row.purchase.0).map(|of| &of.request["lines"][row.line as usize]);
            if !was_live && asked.is_some_and(|line| line["sku"] != sku.as_str()) {
                scene.hit(Hit::Upgraded);
            }
            if !was_live && change.is(AllocationState::Queued) {
                scene.hit(Hit::BackOrdered);
            }
            if change.was(AllocationState::Queued) && change.is(AllocationState::Held) {
                let cancelled = released.iter().any(|number| self.is_cancelled(sku, *number));
                if cancelled {
                    scene.hit(Hit::ServedByCancellation);
                } else if is_raised {
                    scene.hit(Hit::ServedByRaise);
                }
            }
            if change.was(AllocationState::Held) && !released.contains(&row.number) {
                scene.hit(if change.is(AllocationState::Gone) { Hit::Recalled } else { Hit::RecalledDown });
            }
        }
        let terms = self.model.offers.get(sku.as_str()).and_then(|versions| versions.last());
        let capacity = terms.and_then(|version| version.terms["capacity"].as_u64());
        let allocated =
            self.products.0.get(sku).and_then(|product| product.stock.as_ref()).map(|stock| stock.allocated);
        if capacity.zip(allocated).is_some_and(|(capacity, allocated)| allocated > capacity) {
            scene.hit(Hit::Overbooked);
        }
    }

    /// Whether an allocation belongs to a line that its customer cancelled.
    fn is_cancelled(&self, sku: &Sku, number: u64) -> bool {
        let Some(row) = self.products.0.get(sku).and_then(|product| product.allocations.get(&number)) else {
            return false;
        };
        let settlement = self.settlements.get(&row.purchase.0);
        settlement.is_some_and(|of| matches!(of.state.dropped.get(&row.line), Some(Dropped::Cancelled(_))))
    }

    /// Checks that a number of allocated pieces was there for everybody to see at some time.
    pub(super) fn was_allocated(&self, sku: &str, pieces: u64) -> Checked {
        let sku: Sku = sku.parse().map_err(|error| stopped(&error))?;
        let seen = self.products.0.get(&sku).is_some_and(|product| product.allocated.contains(&pieces));
        ensure!(seen, Stock, "{pieces} pieces of {sku} were seen to be allocated, which they never were");
        Ok(())
    }

    /// The lines that have stock or wait for it, each with its number of allocations.
    pub(super) fn live_lines(&self) -> BTreeMap<(String, u32), u32> {
        let mut lines: BTreeMap<_, u32> = BTreeMap::new();
        for product in self.products.0.values() {
            for row in product.live.iter().filter_map(|number| product.allocations.get(number)) {
                *lines.entry((row.purchase.0.clone(), row.line)).or_default() += 1;
            }
        }
        lines
    }

    /// Whether a line ever had an allocation.
    pub(super) fn had_stock(&self, purchase: &str, line: u32) -> bool {
        let mut rows = self.products.0.values().flat_map(|product| product.allocations.values());
        rows.any(|row| row.purchase.0 == purchase && row.line == line)
    }

    /// Checks that the rows have not changed.
    pub(super) fn allocations_unchanged(&self) -> Checked {
        let store = &self.stores.purchase;
        let rows = now(store.rows::<AllocationRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        let known: BTreeSet<_> = self.products.0.values().flat_map(|of| of.allocations.values()).map(key).collect();
        ensure!(rows.len() == known.len(), Stock, "{} allocations are stored, {} were seen", rows.len(), known.len());
        for row in rows {
            let seen = self.products.0.get(&row.sku).and_then(|product| product.allocations.get(&row.number));
            ensure!(seen == Some(&row), Stock, "an allocation was changed to {row:?}");
        }
        let rows = now(store.rows::<StockRow>(&[], None, usize::MAX)).map_err(|error| stopped(&error))?;
        for row in rows {
            let seen = self.products.0.get(&row.sku).and_then(|product| product.stock.as_ref());
            ensure!(seen == Some(&row), Stock, "a stock was changed to {row:?}");
        }
        Ok(())
    }
}

impl Product {
    /// Reads what a batch may have changed: what is new, held or given back, and whose turn has come.
    fn look(&mut self, sku: &Sku, released: &BTreeSet<u64>, store: &dataflow::Store) -> Checked<Vec<Change>> {
        let key = (sku.clone(),);
        self.stock = now(store.get::<StockRow>(&key)).map_err(|error| stopped(&error))?;
        let Some(stock) = &self.stock else {
            ensure!(false, Stock, "{sku} has no stock");
            return Ok(Vec::new());
        };
        self.allocated.insert(stock.allocated);
        let (prefix, newest) = (StockRow::key_cells(&key), self.allocations.len() as u64);
        let after = [Cell::Integer(i64::try_from(newest).unwrap_or(i64::MAX))];
        let mut rows = now(store.rows::<AllocationRow>(&prefix, Some(&after), usize::MAX)).map_err(|e| stopped(&e))?;
        let is_dense = rows.iter().map(|row| row.number).eq(newest + 1..=stock.newest);
        ensure!(is_dense, Stock, "{sku} has allocations up to {} and then {rows:?}", stock.newest);
        for number in &self.live {
            let is_held = self.allocations.get(number).is_some_and(|row| row.state == AllocationState::Held);
            if !is_held && *number >= stock.queue_from && !released.contains(number) {
                continue;
            }
            let row = now(store.get::<AllocationRow>(&(sku.clone(), *number))).map_err(|error| stopped(&error))?;
            ensure!(row.is_some(), Stock, "the allocation {number} of {sku} was lost");
            rows.extend(row);
        }
        let mut changes = Vec::new();
        for after in rows {
            let is_live = matches!(after.state, AllocationState::Held | AllocationState::Queued);
            if is_live {
                self.live.insert(after.number)
            } else {
                self.live.remove(&after.number)
            };
            let before = self.allocations.insert(after.number, after.clone());
            if before.as_ref() != Some(&after) {
                changes.push(Change { before, after });
            }
        }
        Ok(changes)
    }

    /// The held pieces, and the lines that wait.
    fn counts(&self) -> (u64, u64) {
        let rows = || self.live.iter().filter_map(|number| self.allocations.get(number));
        let held = rows().filter(|row| row.state == AllocationState::Held).map(|row| u64::from(row.quantity.get()));
        (held.sum(), rows().filter(|row| row.state == AllocationState::Queued).count() as u64)
    }
}

fn key(row: &AllocationRow) -> (&Sku, u64) {
    (&row.sku, row.number)
}

/// The numbers of the allocations of a product that these facts give back.
fn released(sku: &Sku, facts: &[Value]) -> impl Iterator<Item = u64> {
    let of_product =
        facts.iter().filter(move |fact| fact["type"] == "StockReleased" && fact["data"]["sku"] == sku.as_str());
    of_product.filter_map(|fact| fact["data"]["number"].as_u64())
}

/// The limits of all versions from one on.
fn limits_from(versions: &[Version], first: u64) -> impl Iterator<Item = Option<u64>> {
    let from = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX);
    versions.iter().skip(from).map(|version| terms::limit(&version.terms))
}
