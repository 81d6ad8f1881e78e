//! `allocate`: the stock of each product. It holds or refuses lines in the order of its log, serves who waits, and takes
//! allocations back when stock is lost.
//!
//! A line is a row of `allocations` for each step of its ladder that gave it stock or a place in a queue. The row changes
//! in one direction: `queued`, `held`, and then `gone`, or `moved` when the line went on. So pieces are given back once.

mod claiming;
mod rows;

use contracts::{
    ALLOCATIONS, AccountId, AllocationState, ClaimedLine, Decision, Fact, LINES, LineDecision, LinesDecided, Place,
    Sku, StockClaimed, StockContinued, StockLimited, StockReleased,
};
use rules::{Released, Served, Stock};
use stage::{Event, Key, Outputs, Partitioning, ReadSet, Row as _, Stage, StageError, Stream, Table, WorkingSet};

use self::claiming::claim;

pub use self::rows::{AllocationRow, StockRow};

/// The number of allocations that one fact looks at. More of them are continued by a fact of its own.
const WINDOW: u64 = 64;

stage::payload! {
    /// The facts of the stream that this stage reads.
    pub enum AllocateInput {
        /// Lines claim stock.
        StockClaimed(StockClaimed),
        /// An allocation is given back.
        StockReleased(StockReleased),
        /// The limit of a product changed.
        StockLimited(StockLimited),
        /// The work on a product goes on.
        StockContinued(StockContinued),
    }
}

/// Allocates stock.
pub struct Allocate;

impl Stage for Allocate {
    type Input = AllocateInput;
    type Output = Fact;
    const NAME: &'static str = "allocate";
    const PARTITIONING: Partitioning = Partitioning::Copartitioned;
    const READS: &'static [&'static Stream] = &[&ALLOCATIONS];
    const TABLES: &'static [&'static Table] = &[StockRow::TABLE, AllocationRow::TABLE];

    fn read_set(&self, event: &Event<AllocateInput>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        let sku = match &event.fact {
            AllocateInput::StockClaimed(claimed) => {
                let products = claimed.lines.iter().filter_map(|line| line.ladder.first());
                products.for_each(|step| reads.row::<StockRow>(&(step.sku.clone(),)));
                return Ok(());
            }
            AllocateInput::StockReleased(StockReleased { sku, number }) => {
                reads.row::<AllocationRow>(&(sku.clone(), *number));
                sku
            }
            AllocateInput::StockLimited(StockLimited { sku, .. })
            | AllocateInput::StockContinued(StockContinued { sku }) => sku,
        };
        reads.row::<StockRow>(&(sku.clone(),));
        if !rows.is_loaded::<StockRow>(&(sku.clone(),)) {
            return Ok(());
        }
        let mut stock = StockRow::stock_of(sku, rows)?;
        if let AllocateInput::StockLimited(limited) = &event.fact {
            stock.set_limit(limited);
        }
        let recalled = stock.recall_from.map(|newest| newest.saturating_sub(WINDOW) + 1..=newest);
        let waiting = (stock.waiting > 0).then(|| stock.queue_from..=stock.newest.min(stock.queue_from + WINDOW - 1));
        for number in recalled.into_iter().chain(waiting).flatten() {
            reads.row::<AllocationRow>(&(sku.clone(), number));
        }
        Ok(())
    }

    fn apply(
        &self,
        event: &Event<AllocateInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        match &event.fact {
            AllocateInput::StockClaimed(claimed) => claim(claimed, rows, out),
            AllocateInput::StockReleased(StockReleased { sku, number }) => {
                let mut product = Product::load(sku, rows, out)?;
                product.release(*number)?;
                product.work()
            }
            AllocateInput::StockLimited(limited) => {
                let mut product = Product::load(&limited.sku, rows, out)?;
                product.stock.set_limit(limited);
                product.work()
            }
            AllocateInput::StockContinued(StockContinued { sku }) => {
                let mut product = Product::load(sku, rows, out)?;
                product.stock.is_continued = false;
                product.work()
            }
        }
    }
}

/// The stock of a product, and its allocations.
struct Product<'a> {
    sku: &'a Sku,
    stock: Stock,
    rows: &'a mut WorkingSet,
    out: &'a mut Outputs<Fact>,
}

impl<'a> Product<'a> {
    fn load(sku: &'a Sku, rows: &'a mut WorkingSet, out: &'a mut Outputs<Fact>) -> Result<Self, StageError> {
        Ok(Self { sku, stock: StockRow::stock_of(sku, rows)?, rows, out })
    }

    /// Gives an allocation back. One that is gone has been given back before; one that moved is given back where it is
    /// now, once that is known.
    fn release(&mut self, number: u64) -> Result<(), StageError> {
        let row = self.rows.get::<AllocationRow>(&(self.sku.clone(), number))?;
        let mut row = row.ok_or_else(|| StageError::Rule(format!("{} has no allocation {number}", self.sku)))?;
        let what = match row.state {
            AllocationState::Held => Released::Pieces,
            AllocationState::Queued => Released::Place,
            AllocationState::Gone | AllocationState::Moved => return Ok(()),
        };
        self.stock.release(what, row.quantity);
        row.state = AllocationState::Gone;
        self.rows.put(&row)?;
        self.emit(&row, row.step, Decision::Gone)
    }

    /// Takes back what a recall demands, then serves who waits, as far as the allocations are loaded.
    fn work(mut self) -> Result<(), StageError> {
        let is_done = self.recall()? && self.serve()?;
        if !is_done && !self.stock.is_continued {
            self.stock.is_continued = true;
            let fact = Fact::StockContinued(StockContinued { sku: self.sku.clone() });
            self.out.emit(&ALLOCATIONS, Key(self.sku.to_string()), fact)?;
        }
        self.rows.put(&StockRow::new(self.sku, &self.stock))
    }

    /// Takes the newest held allocations back until the rest is within the limit. Returns false when there is more to
    /// look at than is loaded.
    fn recall(&mut self) -> Result<bool, StageError> {
        let mut recalled = Vec::new();
        let mut is_done = true;
        while let Some(number) = self.stock.recall_from {
            if number == 0 || !self.stock.is_to_recall() {
                self.stock.end_recall();
                break;
            }
            let Some(row) = self.loaded(number)? else {
                is_done = false;
                break;
            };
            if row.state == AllocationState::Held {
                self.stock.release(Released::Pieces, row.quantity);
                recalled.push(row);
            }
            self.stock.recall_from = Some(number - 1);
        }
        // The older ones of this batch try first.
        for row in recalled.into_iter().rev() {
            self.descend(row)?;
        }
        Ok(is_done)
    }

    /// Serves the queue in its order. Returns false when there is more to look at than is loaded.
    fn serve(&mut self) -> Result<bool, StageError> {
        while self.stock.waiting > 0 {
            let Some(mut row) = self.loaded(self.stock.queue_from)? else { return Ok(false) };
            let served = (row.state == AllocationState::Queued).then(|| self.stock.serve(row.quantity));
            if served == Some(Served::Waits) {
                break;
            }
            self.stock.queue_from += 1;
            match served {
                None | Some(Served::Waits) => {}
                Some(Served::TooLarge) => self.descend(row)?,
                Some(Served::Held) => {
                    (row.state, row.limit_used) = (AllocationState::Held, self.stock.ceiling);
                    self.rows.put(&row)?;
                    let place = Place { sku: self.sku.clone(), number: row.number };
                    self.emit(&row, row.step, Decision::Held(place))?;
                }
            }
        }
        Ok(true)
    }

    /// An allocation that is taken back tries the next step of its ladder.
    fn descend(&mut self, mut row: AllocationRow) -> Result<(), StageError> {
        let AllocationRow { purchase, customer, line, quantity, .. } = row.clone();
        let line = ClaimedLine { line, quantity, step: row.step + 1, ladder: row.ladder.clone() };
        let is_last = line.ladder.is_empty();
        row.state = if is_last { AllocationState::Gone } else { AllocationState::Moved };
        self.rows.put(&row)?;
        if is_last {
            return self.emit(&row, line.step, Decision::Refused);
        }
        let claimed = StockClaimed { purchase, customer, whole: false, descends: true, lines: vec![line] };
        if claimed.lines.iter().all(|line| line.ladder.first().is_some_and(|step| step.sku == *self.sku)) {
            return claiming::claim_here(self.sku, &mut self.stock, &claimed, self.rows, self.out);
        }
        claiming::forward(claimed, self.out)
    }

    fn loaded(&self, number: u64) -> Result<Option<AllocationRow>, StageError> {
        let key = (self.sku.clone(), number);
        if self.rows.is_loaded::<AllocationRow>(&key) { self.rows.get::<AllocationRow>(&key) } else { Ok(None) }
    }

    fn emit(&mut self, row: &AllocationRow, step: u32, decision: Decision) -> Result<(), StageError> {
        let lines = vec![LineDecision { line: row.line, step, decision }];
        let decided = Fact::LinesDecided(LinesDecided { purchase: row.purchase.clone(), lines });
        self.out.emit(&LINES, AccountId::of_customer(&row.customer).key(), decided)
    }
}
