//! The view of a purchase that HTTP returns: the recorded purchase joined with its outcome, with what was put right
//! after it, and with the times of all.

mod lines;

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Cancellation, CancellationStatus, Constraint, Milestone, Purchase, PurchaseId, RateQuote, Status};
use dataflow::{CommitTimes, RecentCommits, Store, StoreError};
use money::{Amount, Currency, Money};
use stage::{Partition, ReadSet, RequestId, Row, Table};

pub(crate) use self::lines::lines;
use crate::accept::{Accept, CancellationRow, PurchaseRow};
use crate::settle::{OutcomeRow, Settle, SettlementRow, What};

/// What is known of a purchase after it was recorded.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Its outcome.
    pub outcome: Option<OutcomeRow>,
    /// What happened to it beside that; none for a purchase with unlimited stock that was not cancelled.
    pub settlement: Option<SettlementRow>,
    /// The request to cancel it.
    pub cancellation: Option<CancellationRow>,
}

/// The views of purchases with what is known of them, by request id.
///
/// # Errors
/// [`StoreError`].
pub async fn views(
    store: &Store,
    commits: &RecentCommits,
    rows: Vec<PurchaseRow>,
    settled: &BTreeMap<String, Settled>,
) -> Result<Vec<Purchase>, StoreError> {
    let mut times = CommitTimes::new(store, commits);
    let mut purchases = Vec::with_capacity(rows.len());
    for row in rows {
        // Cloned, not removed: a batch may contain the same purchase twice.
        let settled = settled.get(&row.request_id.0).cloned().unwrap_or_default();
        purchases.push(view(row, settled, &mut times).await?);
    }
    Ok(purchases)
}

/// What is stored about these purchases, by request id; a purchase without anything is absent.
///
/// # Errors
/// [`StoreError`].
pub async fn stored(store: &Store, requests: &BTreeSet<String>) -> Result<BTreeMap<String, Settled>, StoreError> {
    let mut reads = ReadSet::default();
    for request in requests {
        let key = (RequestId(request.clone()),);
        reads.row::<OutcomeRow>(&key);
        reads.row::<SettlementRow>(&key);
        reads.row::<CancellationRow>(&key);
    }
    let mut all: BTreeMap<String, Settled> = BTreeMap::new();
    for found in store.load(&reads).await? {
        for cells in &found.rows {
            if is::<OutcomeRow>(found.table) {
                let row = OutcomeRow::from_cells(cells)?;
                let purchase = row.purchase.clone();
                all.entry(purchase.0).or_default().outcome = Some(row);
            } else if is::<SettlementRow>(found.table) {
                let row = SettlementRow::from_cells(cells)?;
                let purchase = row.purchase.clone();
                all.entry(purchase.0).or_default().settlement = Some(row);
            } else if is::<CancellationRow>(found.table) {
                let row = CancellationRow::from_cells(cells)?;
                let purchase = row.purchase.clone();
                all.entry(purchase.0).or_default().cancellation = Some(row);
            }
        }
    }
    Ok(all)
}

fn is<R: Row>(table: &Table) -> bool {
    table.name == R::TABLE.name
}

async fn view(row: PurchaseRow, settled: Settled, times: &mut CommitTimes<'_>) -> Result<Purchase, StoreError> {
    let damaged = |error: &dyn std::fmt::Display| StoreError::Damaged(format!("purchase {}: {error}", row.request_id));
    let history = history(&row, &settled, times).await?;
    let status = history.last().map_or(Status::Confirmed, |last| last.status);
    let outcome = settled.outcome.as_ref();
    let reason = outcome.map_or_else(|| row.reason(), OutcomeRow::reason);
    let settlement = settled.settlement.as_ref();
    // A strict purchase is charged for the lines that are held. Until then, and if it is rejected, it is not charged.
    let paid = settlement.and_then(SettlementRow::charged);
    let total = paid.map_or(row.total, |paid| Some(paid.total.amount()));
    let charged = paid.map_or(row.charged, |paid| Some(paid.charged.amount()));
    let charged = charged.filter(|_| !matches!(status, Status::Accepted | Status::Rejected));
    let money = |amount: Option<_>, currency: Option<_>| {
        let both = amount.zip(currency).map(|(amount, currency)| Money::new(amount, currency));
        both.transpose().map_err(|error| damaged(&error))
    };
    let sum = |all: Vec<Money>| sum(&all, row.pay_in).transpose().map_err(|error| damaged(&error));
    let returned = settlement.map(SettlementRow::returned).unwrap_or_default();
    Ok(Purchase {
        id: PurchaseId::of(&row.request_id),
        status,
        total: money(total, row.price_currency)?,
        charged: money(charged, Some(row.pay_in))?,
        rate: row.conversion.as_ref().and_then(RateQuote::of),
        refunded: sum(returned.refunds)?,
        vouchers: sum(returned.vouchers)?,
        cancellation: cancellation(&row, &settled),
        lines: lines(&row, settlement),
        request_id: row.request_id,
        customer: row.customer,
        reason,
        occurred_at: row.occurred_at,
        pay_in: row.pay_in,
        history,
    })
}

/// The sum of amounts in one currency. `None` if there are none.
fn sum(all: &[Money], currency: Currency) -> Option<Result<Money, money::Invalid>> {
    let amounts = all.iter().map(|money| money.amount());
    let sum = amounts.fold(Amount::zero(currency), |sum, amount| sum + amount);
    (!all.is_empty()).then(|| Money::new(sum, currency))
}

fn cancellation(row: &PurchaseRow, settled: &Settled) -> Option<Cancellation> {
    let requested = settled.cancellation.as_ref()?;
    let end = match settled.settlement.as_ref().and_then(|settlement| settlement.state.cancellation) {
        Some(rules::Cancellation::Completed) => CancellationStatus::Completed,
        Some(rules::Cancellation::Rejected) => CancellationStatus::Rejected,
        Some(rules::Cancellation::Asked(_) | rules::Cancellation::Applied) => CancellationStatus::Pending,
        None if row.reason_code.is_some() => CancellationStatus::Rejected,
        None => CancellationStatus::Pending,
    };
    Some(Cancellation { status: end, occurred_at: requested.occurred_at })
}

/// All changes in their order.
async fn history(
    row: &PurchaseRow,
    settled: &Settled,
    times: &mut CommitTimes<'_>,
) -> Result<Vec<Milestone>, StoreError> {
    let status = match (row.reason_code, row.constraint) {
        (Some(_), _) => Status::Rejected,
        (None, Some(Constraint::Strict)) => Status::Accepted,
        (None, _) => Status::Confirmed,
    };
    let milestone = |status, at, reason| {
        let (refunded, voucher, cancellation) = (None, None, None);
        Milestone { status, at, reason, refunded, voucher, cancellation }
    };
    let at = times.of::<Accept>(Partition(0), row.batch).await?;
    let mut history = vec![milestone(status, at, row.reason())];
    let mut outcome = settled.outcome.as_ref();
    for correction in settled.settlement.iter().flat_map(|settlement| &settlement.corrections) {
        let partition = settled.settlement.as_ref().map_or(Partition(0), |settlement| settlement.partition);
        // The charge of a strict purchase comes before its outcome, everything else after it.
        if !matches!(correction.what, What::Charged(_))
            && let Some(outcome) = outcome.take()
        {
            let at = times.of::<Settle>(outcome.partition, outcome.batch).await?;
            history.push(milestone(outcome.status, at, outcome.reason()));
        }
        let at = times.of::<Settle>(partition, correction.batch).await?;
        let status = history.last().map_or(status, |last| last.status);
        history.push(match correction.what.clone() {
            What::Charged(_) => milestone(Status::Confirmed, at, None),
            What::Refunded { credit, voucher, reason } => {
                Milestone { refunded: Some(credit), voucher, ..milestone(status, at, Some(reason)) }
            }
            What::CancellationCompleted => {
                Milestone { cancellation: Some(CancellationStatus::Completed), ..milestone(status, at, None) }
            }
            What::CancellationRejected => {
                Milestone { cancellation: Some(CancellationStatus::Rejected), ..milestone(status, at, None) }
            }
        });
    }
    if let Some(outcome) = outcome {
        let at = times.of::<Settle>(outcome.partition, outcome.batch).await?;
        history.push(milestone(outcome.status, at, outcome.reason()));
    }
    Ok(history)
}
