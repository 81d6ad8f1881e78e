//! The view of a purchase that HTTP returns: the recorded purchase joined with its outcome and the times of both.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Milestone, Purchase, PurchaseId, RateQuote, Status};
use dataflow::{CommitTimes, RecentCommits, Store, StoreError};
use money::Money;
use stage::{Partition, ReadSet, RequestId, Row as _};

use crate::accept::{Accept, PurchaseRow};
use crate::settle::{OutcomeRow, Settle};

/// The views of purchases with these outcomes, by request id; a purchase without one is not settled yet.
///
/// # Errors
/// [`StoreError`].
pub async fn views(
    store: &Store,
    commits: &RecentCommits,
    rows: Vec<PurchaseRow>,
    outcomes: &BTreeMap<String, OutcomeRow>,
) -> Result<Vec<Purchase>, StoreError> {
    let mut times = CommitTimes::new(store, commits);
    let mut purchases = Vec::with_capacity(rows.len());
    for row in rows {
        // Cloned, not removed: a batch may contain the same purchase twice.
        let outcome = outcomes.get(&row.request_id.0).cloned();
        purchases.push(view(row, outcome, &mut times).await?);
    }
    Ok(purchases)
}

/// The stored outcomes of these purchases, by request id; a purchase without an outcome is absent.
///
/// # Errors
/// [`StoreError`].
pub async fn outcomes(store: &Store, requests: &BTreeSet<String>) -> Result<BTreeMap<String, OutcomeRow>, StoreError> {
    let mut reads = ReadSet::default();
    requests.iter().for_each(|request| reads.row::<OutcomeRow>(&(RequestId(request.clone()),)));
    let found = store.load(&reads).await?;
    let rows = found.iter().flat_map(|found| &found.rows).map(|cells| OutcomeRow::from_cells(cells));
    rows.map(|row| row.map(|row| (row.purchase.0.clone(), row)).map_err(StoreError::from)).collect()
}

async fn view(
    row: PurchaseRow,
    outcome: Option<OutcomeRow>,
    times: &mut CommitTimes<'_>,
) -> Result<Purchase, StoreError> {
    let mut reason = row.reason();
    let mut status = if reason.is_some() { Status::Rejected } else { Status::Confirmed };
    let at = times.of::<Accept>(Partition(0), row.batch).await?;
    let mut history = vec![Milestone { status, at, reason: reason.clone() }];
    if let Some(outcome) = outcome {
        let at = times.of::<Settle>(outcome.partition, outcome.batch).await?;
        (status, reason) = (outcome.status, outcome.reason());
        history.push(Milestone { status, at, reason: reason.clone() });
    }
    // A rejected purchase is not charged, even if it was priced before.
    let charged = row.charged.filter(|_| status != Status::Rejected);
    let money = |amount: Option<_>, currency: Option<_>| {
        let both = amount.zip(currency).map(|(amount, currency)| Money::new(amount, currency));
        both.transpose().map_err(|error| StoreError::Damaged(format!("purchase {}: {error}", row.request_id)))
    };
    Ok(Purchase {
        id: PurchaseId::of(&row.request_id),
        status,
        total: money(row.total, row.price_currency)?,
        charged: money(charged, Some(row.pay_in))?,
        rate: row.conversion.as_ref().and_then(RateQuote::of),
        request_id: row.request_id,
        customer: row.customer,
        reason,
        occurred_at: row.occurred_at,
        pay_in: row.pay_in,
        lines: row.lines,
        history,
    })
}
