//! Claims: lines get their allocations, or go on to other products.

use std::collections::BTreeMap;

use contracts::{
    ALLOCATIONS, AccountId, AllocationState, ClaimedLine, Decision, Fact, LINES, LineDecision, LinesDecided, Place,
    Sku, StockClaimed,
};
use rules::{Claimed, Stock};
use stage::{Key, Outputs, StageError, WorkingSet};

use super::{AllocationRow, StockRow};

/// Claims the lines of one partition.
pub(super) fn claim(claimed: &StockClaimed, rows: &mut WorkingSet, out: &mut Outputs<Fact>) -> Result<(), StageError> {
    let mut stocks = BTreeMap::new();
    for step in claimed.lines.iter().filter_map(|line| line.ladder.first()) {
        stocks.insert(step.sku.clone(), StockRow::stock_of(&step.sku, rows)?);
    }
    let mut lines = claimed.lines.clone();
    let results = rules::claim(&mut stocks, claimed, &mut lines);
    for (sku, stock) in stocks {
        rows.put(&StockRow::new(&sku, &stock))?;
    }
    record(claimed, &lines, &results, rows, out)
}

/// Claims one line of the product that is being worked on.
pub(super) fn claim_here(
    sku: &Sku,
    stock: &mut Stock,
    claimed: &StockClaimed,
    rows: &mut WorkingSet,
    out: &mut Outputs<Fact>,
) -> Result<(), StageError> {
    let mut stocks = BTreeMap::from([(sku.clone(), std::mem::take(stock))]);
    let mut lines = claimed.lines.clone();
    let results = rules::claim(&mut stocks, claimed, &mut lines);
    *stock = stocks.remove(sku).unwrap_or_default();
    record(claimed, &lines, &results, rows, out)
}

/// Passes a line on to the product of its next step, possibly in another partition.
pub(super) fn forward(claimed: StockClaimed, out: &mut Outputs<Fact>) -> Result<(), StageError> {
    let next = claimed.lines.first().and_then(|line| line.ladder.first());
    let next = next.ok_or_else(|| StageError::Rule("a claim without a product".to_owned()))?;
    let key = Key(next.sku.to_string());
    out.emit(&ALLOCATIONS, key, Fact::StockClaimed(claimed))
}

fn record(
    claimed: &StockClaimed,
    lines: &[ClaimedLine],
    results: &[Claimed],
    rows: &mut WorkingSet,
    out: &mut Outputs<Fact>,
) -> Result<(), StageError> {
    let mut decided = Vec::new();
    for (line, result) in lines.iter().zip(results) {
        let decision = match result.clone() {
            Claimed::Held { sku, number, limit } => {
                rows.insert(&allocation(claimed, line, &sku, number, AllocationState::Held, limit))?;
                Decision::Held(Place { sku, number })
            }
            Claimed::Queued { sku, number } => {
                rows.insert(&allocation(claimed, line, &sku, number, AllocationState::Queued, None))?;
                Decision::Queued(Place { sku, number })
            }
            Claimed::Forwarded => {
                forward(StockClaimed { whole: false, lines: vec![line.clone()], ..claimed.clone() }, out)?;
                continue;
            }
            Claimed::Refused => Decision::Refused,
            Claimed::NotNeeded => Decision::Gone,
        };
        decided.push(LineDecision { line: line.line, step: line.step, decision });
    }
    if decided.is_empty() {
        return Ok(());
    }
    let fact = Fact::LinesDecided(LinesDecided { purchase: claimed.purchase.clone(), lines: decided });
    out.emit(&LINES, AccountId::of_customer(&claimed.customer).key(), fact)
}

fn allocation(
    claimed: &StockClaimed,
    line: &ClaimedLine,
    sku: &Sku,
    number: u64,
    state: AllocationState,
    limit_used: Option<u64>,
) -> AllocationRow {
    AllocationRow {
        sku: sku.clone(),
        number,
        purchase: claimed.purchase.clone(),
        line: line.line,
        customer: claimed.customer.clone(),
        quantity: line.quantity,
        step: line.step,
        limit_used,
        state,
        ladder: line.ladder.get(1..).unwrap_or_default().to_vec(),
    }
}
