//! The stages of limited stock, as they are or with a deliberate bug.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    AllocationState, Decision, Fact, LinesDecided, PaymentPosted, PurchasePlaced, Status, StockClaimed, StockReleased,
};
use money::{Conversion, Currency};
use purchase::allocate::{Allocate, AllocateInput, AllocationRow, StockRow};
use purchase::settle::{OutcomeRow, Settle, SettleInput, SettlementRow};
use rules::PaymentState;
use stage::{Event, Outputs, Partitioning, ReadSet, RequestId, Stage, StageError, Stream, Table, WorkingSet};

use super::scene::Mutant;

/// The stage `allocate`.
pub struct FaultyAllocate {
    mutant: Option<Mutant>,
}

/// The stage `settle`.
pub struct FaultySettle {
    mutant: Option<Mutant>,
    /// The conversions of the purchases that came last.
    newest: RefCell<BTreeMap<(Currency, Currency), Conversion>>,
}

impl FaultyAllocate {
    /// The stage with this bug, if it is one of its bugs.
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { mutant }
    }
}

impl FaultySettle {
    /// The stage with this bug, if it is one of its bugs.
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { mutant, newest: RefCell::default() }
    }
}

impl Stage for FaultyAllocate {
    type Input = AllocateInput;
    type Output = Fact;
    const NAME: &'static str = Allocate::NAME;
    const PARTITIONING: Partitioning = Allocate::PARTITIONING;
    const READS: &'static [&'static Stream] = Allocate::READS;
    const TABLES: &'static [&'static Table] = Allocate::TABLES;

    fn read_set(&self, event: &Event<AllocateInput>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        Allocate.read_set(event, rows, reads)
    }

    fn apply(
        &self,
        event: &Event<AllocateInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        match (self.mutant, &event.fact) {
            (Some(Mutant::ReleaseTwice), AllocateInput::StockReleased(released)) => hold_again(released, rows)?,
            (Some(Mutant::AllocatePastLimit), AllocateInput::StockClaimed(claimed)) => {
                return overlook_a_piece(claimed, rows, |rows| Allocate.apply(event, rows, out));
            }
            (Some(Mutant::ForgetWaiting), AllocateInput::StockReleased(released)) => {
                return hide_the_queue(released, rows, |rows| Allocate.apply(event, rows, out));
            }
            _ => {}
        }
        Allocate.apply(event, rows, out)
    }
}

impl Stage for FaultySettle {
    type Input = SettleInput;
    type Output = Fact;
    const NAME: &'static str = Settle::NAME;
    const PARTITIONING: Partitioning = Settle::PARTITIONING;
    const READS: &'static [&'static Stream] = Settle::READS;
    const TABLES: &'static [&'static Table] = Settle::TABLES;

    fn read_set(&self, event: &Event<SettleInput>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        if let (Some(Mutant::SecondOutcome), SettleInput::LinesDecided(decided)) = (self.mutant, &event.fact) {
            reads.row::<OutcomeRow>(&(decided.purchase.clone(),));
        }
        Settle.read_set(event, rows, reads)
    }

    fn apply(
        &self,
        event: &Event<SettleInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        match (self.mutant, &event.fact) {
            (Some(Mutant::SecondOutcome), SettleInput::LinesDecided(decided)) => decide_again(decided, rows, out)?,
            (Some(Mutant::TodaysRate), SettleInput::PurchasePlaced(placed)) => self.remember(placed),
            (Some(Mutant::TodaysRate), SettleInput::LinesDecided(LinesDecided { purchase, .. })) => {
                return self.at_todays_rate(purchase, rows, |rows| Settle.apply(event, rows, out));
            }
            (Some(Mutant::TodaysRate), SettleInput::PaymentPosted(PaymentPosted { purchase, .. })) => {
                return self.at_todays_rate(purchase, rows, |rows| Settle.apply(event, rows, out));
            }
            (Some(Mutant::TodaysRate), SettleInput::CancellationRequested(cancelled)) => {
                return self.at_todays_rate(&cancelled.purchase, rows, |rows| Settle.apply(event, rows, out));
            }
            _ => {}
        }
        Settle.apply(event, rows, out)
    }
}

impl FaultySettle {
    fn remember(&self, PurchasePlaced { plan, .. }: &PurchasePlaced) {
        let pair = (plan.total.currency(), plan.charged.currency());
        self.newest.borrow_mut().insert(pair, plan.conversion.clone());
    }

    /// Applies a fact as if the purchase had been converted like the last one.
    fn at_todays_rate(
        &self,
        purchase: &RequestId,
        rows: &mut WorkingSet,
        apply: impl FnOnce(&mut WorkingSet) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let key = (purchase.clone(),);
        let may_refund = |row: &SettlementRow| row.state.outcome.is_some() || row.state.payment == PaymentState::Asked;
        let before = rows.get::<SettlementRow>(&key)?.filter(may_refund);
        let Some((mut row, plan)) = before.and_then(|row| row.state.plan.clone().map(|plan| (row, plan))) else {
            return apply(rows);
        };
        let today = self.newest.borrow().get(&(plan.total.currency(), plan.charged.currency())).cloned();
        let conversion = today.unwrap_or_else(|| plan.conversion.clone());
        row.state.plan = Some(contracts::PurchasePlan { conversion, ..plan.clone() });
        rows.put(&row)?;
        apply(rows)?;
        if let Some(mut row) = rows.get::<SettlementRow>(&key)? {
            row.state.plan = Some(plan);
            rows.put(&row)?;
        }
        Ok(())
    }
}

/// An allocation that is gone is held again, so that its pieces are given back once more.
fn hold_again(StockReleased { sku, number }: &StockReleased, rows: &mut WorkingSet) -> Result<(), StageError> {
    let row = rows.get::<AllocationRow>(&(sku.clone(), *number))?;
    match row.filter(|row| row.state == AllocationState::Gone) {
        Some(row) => rows.put(&AllocationRow { state: AllocationState::Held, ..row }),
        None => Ok(()),
    }
}

/// Claims are decided as if one piece of each product were not allocated.
fn overlook_a_piece(
    claimed: &StockClaimed,
    rows: &mut WorkingSet,
    apply: impl FnOnce(&mut WorkingSet) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let mut overlooked = BTreeSet::new();
    for step in claimed.lines.iter().filter_map(|line| line.ladder.first()) {
        let row = rows.get::<StockRow>(&(step.sku.clone(),))?;
        if let Some(row) = row.filter(|row| row.allocated > 0 && !overlooked.contains(&row.sku)) {
            overlooked.insert(row.sku.clone());
            rows.put(&StockRow { allocated: row.allocated - 1, ..row })?;
        }
    }
    apply(rows)?;
    for sku in overlooked {
        if let Some(row) = rows.get::<StockRow>(&(sku,))? {
            rows.put(&StockRow { allocated: row.allocated + 1, ..row })?;
        }
    }
    Ok(())
}

/// Pieces are given back as if nobody waited for them.
fn hide_the_queue(
    StockReleased { sku, number }: &StockReleased,
    rows: &mut WorkingSet,
    apply: impl FnOnce(&mut WorkingSet) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let released = rows.get::<AllocationRow>(&(sku.clone(), *number))?;
    let stock = rows.get::<StockRow>(&(sku.clone(),))?;
    let is_held = released.is_some_and(|row| row.state == AllocationState::Held);
    let Some(stock) = stock.filter(|_| is_held) else { return apply(rows) };
    let waiting = stock.waiting;
    rows.put(&StockRow { waiting: 0, ..stock })?;
    apply(rows)?;
    if let Some(row) = rows.get::<StockRow>(&(sku.clone(),))? {
        rows.put(&StockRow { waiting, ..row })?;
    }
    Ok(())
}

/// A purchase that loses stock after it was settled is compensated instead.
fn decide_again(
    LinesDecided { purchase, lines }: &LinesDecided,
    rows: &mut WorkingSet,
    out: &Outputs<Fact>,
) -> Result<(), StageError> {
    let row = rows.get::<OutcomeRow>(&(purchase.clone(),))?;
    let is_lost = lines.iter().any(|line| line.decision == Decision::Refused);
    match row.filter(|row| is_lost && row.status == Status::Settled) {
        Some(row) => rows.put(&OutcomeRow { status: Status::Compensated, batch: out.batch(), ..row }),
        None => Ok(()),
    }
}
