//! Purchases as HTTP shows them: what was accepted, joined with what became of it and when.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::{Milestone, Purchase, PurchaseId, ShownRate, Status};
use dataflow::{Store, StoreError};
use money::Money;
use stage::{BatchNumber, Keys, Partition, Producer, RequestId, Row as _, Stage as _};

use crate::accept::{Accept, PurchaseRow};
use crate::settle::{OutcomeRow, Settle};

/// Shows purchases, all outcomes read at once.
///
/// # Errors
/// [`StoreError`].
pub async fn show(store: &Store, rows: Vec<PurchaseRow>) -> Result<Vec<Purchase>, StoreError> {
    let outcomes = outcomes(store, rows.iter().map(|row| &row.request_id)).await?;
    let mut clock = CommitTimes { store, known: BTreeMap::new() };
    let mut purchases = Vec::with_capacity(rows.len());
    for row in rows {
        // Not taken out: a batch may ask for the same purchase twice.
        let outcome = outcomes.get(&row.request_id).cloned();
        purchases.push(shown(row, outcome, &mut clock).await?);
    }
    Ok(purchases)
}

/// The outcomes there are of these purchases.
///
/// # Errors
/// [`StoreError`].
pub async fn outcomes(
    store: &Store,
    requests: impl Iterator<Item = &RequestId>,
) -> Result<BTreeMap<RequestId, OutcomeRow>, StoreError> {
    let mut keys = Keys::default();
    requests.for_each(|request| keys.row::<OutcomeRow>(&(request.clone(),)));
    let found = store.load(&keys).await?;
    let rows = found.iter().flat_map(|found| &found.rows).map(|cells| OutcomeRow::from_cells(cells));
    rows.map(|row| row.map(|row| (row.purchase.clone(), row)).map_err(StoreError::from)).collect()
}

async fn shown(
    row: PurchaseRow,
    outcome: Option<OutcomeRow>,
    clock: &mut CommitTimes<'_>,
) -> Result<Purchase, StoreError> {
    let reason = row.reason();
    let first = if reason.is_some() { Status::Rejected } else { Status::Confirmed };
    let at = clock.of(Accept::NAME, Partition(0), row.batch).await?;
    let mut history = vec![Milestone { status: first, at, reason: reason.clone() }];
    if let Some(OutcomeRow { status, partition, batch, .. }) = &outcome {
        let partition = Partition(u16::try_from(*partition).unwrap_or(u16::MAX));
        let at = clock.of(Settle::NAME, partition, *batch).await?;
        history.push(Milestone { status: *status, at, reason: None });
    }
    let money = |amount: Option<_>, currency: Option<_>| {
        let both = amount.zip(currency).map(|(amount, currency)| Money::new(amount, currency));
        both.transpose().map_err(|error| StoreError::Damaged(format!("purchase {}: {error}", row.request_id)))
    };
    Ok(Purchase {
        id: PurchaseId::of(&row.request_id),
        status: outcome.map_or(first, |outcome| outcome.status),
        total: money(row.total, row.price_currency)?,
        charged: money(row.charged, Some(row.pay_in))?,
        rate: row.conversion.as_ref().and_then(ShownRate::of),
        request_id: row.request_id,
        customer: row.customer,
        reason,
        occurred_at: row.occurred_at,
        pay_in: row.pay_in,
        lines: row.lines,
        history,
    })
}

/// When batches were committed; each is looked up once.
struct CommitTimes<'a> {
    store: &'a Store,
    known: BTreeMap<(&'static str, Partition, u64), DateTime<Utc>>,
}

impl CommitTimes<'_> {
    async fn of(&mut self, stage: &'static str, partition: Partition, batch: u64) -> Result<DateTime<Utc>, StoreError> {
        let place = (stage, partition, batch);
        if let Some(time) = self.known.get(&place) {
            return Ok(*time);
        }
        let owner = Producer::new(stage, partition);
        let time = self.store.committed_at(&owner, BatchNumber(batch)).await?;
        let time = time.and_then(|time| time.parse().ok());
        let time = time.ok_or_else(|| StoreError::Damaged(format!("no batch record {batch} of {owner}")))?;
        self.known.insert(place, time);
        Ok(time)
    }
}
