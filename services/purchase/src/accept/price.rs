//! Accepting a purchase: it is priced, recorded, and published to those who charge it and allocate its stock.

use contracts::{AccountId, Fact, PURCHASES, PurchaseConfirmed, PurchaseRejected, PurchaseRequest, Reason};
use rules::{Charge, quote};
use stage::{Event, Outputs, StageError, WorkingSet};

use super::limited::Limited;
use super::{Accept, AcceptInput, PurchaseRow, Reply, SubmitPurchase};

/// A purchase that can be carried out.
pub(super) struct Priced {
    /// Its final price.
    pub charge: Charge,
    /// What it needs of limited stock; none if all of it is unlimited.
    pub limited: Option<Limited>,
}

impl Accept {
    pub(super) fn purchase(
        &self,
        event: &Event<AcceptInput>,
        submission: &SubmitPurchase,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<Reply, StageError> {
        let request_id = &event.cause.request_id;
        let content_hash = stage::content_hash(&submission.request)?;
        if let Some(row) = rows.get::<PurchaseRow>(&(request_id.clone(),))? {
            let same = row.content_hash == content_hash;
            return Ok(if same { Reply::Purchase(Box::new(row)) } else { Reply::Conflict });
        }
        let occurred_at = submission.request.occurred_at.unwrap_or(event.cause.time);
        let captured = submission.captured.as_ref().ok_or_else(not_captured)?;
        let offers = captured.terms(&submission.request.lines, rows)?;
        let PurchaseRequest { lines, pay_in, .. } = &submission.request;
        let priced = quote(lines, *pay_in, &offers, occurred_at, &self.rates, captured.rates);
        let priced = match priced {
            Err(reason) => Err(reason),
            Ok(charge) => {
                let limited = Limited::of(submission, captured, &offers, &charge, occurred_at, rows)?;
                match limited.as_ref().and_then(|limited| limited.refusal(captured)) {
                    Some(reason) => Err(reason),
                    None => Ok(Priced { charge, limited }),
                }
            }
        };
        let row = PurchaseRow::new(request_id, content_hash, submission, occurred_at, &priced, out.batch());
        rows.put(&row)?;
        publish(&row, priced, out)?;
        Ok(Reply::Purchase(Box::new(row)))
    }
}

/// The error of a recorded request without the versions to price it with.
pub(super) fn not_captured() -> StageError {
    StageError::Rule("the request has no captured versions".to_owned())
}

fn publish(row: &PurchaseRow, priced: Result<Priced, Reason>, out: &mut Outputs<Fact>) -> Result<(), StageError> {
    let (purchase, customer) = (row.request_id.clone(), row.customer.clone());
    let account = AccountId::of_customer(&customer).key();
    let Priced { charge, limited } = match priced {
        Ok(priced) => priced,
        Err(reason) => {
            let rejected = PurchaseRejected { purchase, customer, reason };
            return out.emit(&PURCHASES, account, Fact::PurchaseRejected(rejected));
        }
    };
    // A strict purchase is charged by `settle`, once its stock is held.
    if !limited.as_ref().is_some_and(Limited::is_strict) {
        let (Charge { total, charged, conversion, lines }, occurred_at) = (charge, row.occurred_at);
        let is_limited = limited.is_some();
        let confirmed =
            PurchaseConfirmed { purchase, customer, occurred_at, total, charged, conversion, lines, is_limited };
        out.emit(&PURCHASES, account, Fact::PurchaseConfirmed(confirmed))?;
    }
    limited.map_or(Ok(()), |limited| limited.publish(&row.request_id, out))
}
