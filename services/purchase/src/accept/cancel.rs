//! Cancelling purchases. The request is recorded and published; `settle` decides what is returned.

use contracts::{AccountId, CancellationRequested, Fact, LINES, LineSold, PurchasePlan};
use money::Money;
use rules::planned;
use stage::{Cause, Outputs, ReadSet, RequestId, StageError, WorkingSet};

use super::{CancelPurchase, CancellationRow, OfferRow, PurchaseRow, Reply};

pub(super) fn reads(purchase: &RequestId, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
    reads.row::<CancellationRow>(&(purchase.clone(),));
    reads.row::<PurchaseRow>(&(purchase.clone(),));
    if rows.is_loaded::<PurchaseRow>(&(purchase.clone(),))
        && let Some(row) = rows.get::<PurchaseRow>(&(purchase.clone(),))?
    {
        let offers = row.lines.iter().zip(&row.offers);
        offers.for_each(|(line, version)| reads.row::<OfferRow>(&(line.sku.clone(), *version)));
    }
    Ok(())
}

/// Records a cancellation. A purchase that was rejected at once has nothing to cancel, so nobody is told.
pub(super) fn cancel(
    request: &CancelPurchase,
    cause: &Cause,
    rows: &mut WorkingSet,
    out: &mut Outputs<Fact>,
) -> Result<Reply, StageError> {
    let purchase = &cause.request_id;
    let Some(row) = rows.get::<PurchaseRow>(&(purchase.clone(),))? else { return Ok(Reply::UnknownPurchase) };
    if let Some(cancellation) = rows.get::<CancellationRow>(&(purchase.clone(),))? {
        return Ok(Reply::Cancellation(Box::new(row), cancellation));
    }
    let occurred_at = request.occurred_at.unwrap_or(cause.time);
    let cancellation = CancellationRow { purchase: purchase.clone(), occurred_at, batch: out.batch() };
    rows.put(&cancellation)?;
    if let Some(plan) = plan(&row, rows)? {
        let key = AccountId::of_customer(&row.customer).key();
        let requested = CancellationRequested { purchase: purchase.clone(), occurred_at, plan };
        out.emit(&LINES, key, Fact::CancellationRequested(requested))?;
    }
    Ok(Reply::Cancellation(Box::new(row), cancellation))
}

/// The terms of a purchase, from its row and the captured versions of its offers. `None` if it was rejected at once.
fn plan(row: &PurchaseRow, rows: &WorkingSet) -> Result<Option<PurchasePlan>, StageError> {
    let broken = |what: &str| StageError::Rule(format!("purchase {}: {what}", row.request_id));
    let (Some(total), Some(currency), Some(charged), Some(conversion)) =
        (row.total, row.price_currency, row.charged, row.conversion.clone())
    else {
        return Ok(None);
    };
    let money = |amount, currency| Money::new(amount, currency).map_err(|error| broken(&error.to_string()));
    let line = |(line, version): (&contracts::LineRequest, &u64)| {
        let offer =
            rows.get::<OfferRow>(&(line.sku.clone(), *version))?.ok_or_else(|| broken("an offer is missing"))?;
        let unit_price = line.unit_price.ok_or_else(|| broken("a line has no price"))?;
        let sold = LineSold { sku: line.sku.clone(), quantity: line.quantity, unit_price };
        Ok::<_, StageError>(planned(sold, &offer.terms))
    };
    Ok(Some(PurchasePlan {
        customer: row.customer.clone(),
        occurred_at: row.occurred_at,
        total: money(total, currency)?,
        charged: money(charged, row.pay_in)?,
        conversion,
        is_strict: row.constraint == Some(contracts::Constraint::Strict),
        partial: row.partial,
        lines: row.lines.iter().zip(&row.offers).map(line).collect::<Result<_, _>>()?,
    }))
}
