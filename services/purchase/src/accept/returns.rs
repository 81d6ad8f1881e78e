//! Taking goods back. A return names no purchase: it is priced like a purchase of the same lines at its own time, and the
//! money goes the other way. Stock stays as it is.

use contracts::{AccountId, Fact, PURCHASES, ReturnAccepted, ReturnRequest};
use rules::{Charge, quote};
use stage::{Event, Outputs, ReadSet, RequestId, StageError, WorkingSet};

use super::price::not_captured;
use super::{Accept, AcceptInput, OfferRow, Reply, ReturnRow, SubmitReturn, offer};

/// Reads the return, and the offer of each line: the current one until its version is captured.
pub(super) fn reads(
    request_id: &RequestId,
    submission: &SubmitReturn,
    rows: &WorkingSet,
    reads: &mut ReadSet,
) -> Result<(), StageError> {
    reads.row::<ReturnRow>(&(request_id.clone(),));
    let lines = &submission.request.lines;
    match &submission.captured {
        None => lines.iter().try_for_each(|line| offer::reads(&line.sku, rows, reads)),
        Some(captured) => {
            captured.rows(lines).for_each(|key| reads.row::<OfferRow>(&key));
            Ok(())
        }
    }
}

impl Accept {
    /// Records a return, and publishes it to who refunds it. Nobody acts on a rejected one.
    pub(super) fn take_back(
        &self,
        event: &Event<AcceptInput>,
        submission: &SubmitReturn,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<Reply, StageError> {
        let request_id = &event.cause.request_id;
        let content_hash = stage::content_hash(&submission.request)?;
        if let Some(row) = rows.get::<ReturnRow>(&(request_id.clone(),))? {
            let same = row.content_hash == content_hash;
            return Ok(if same { Reply::Return(Box::new(row)) } else { Reply::Conflict });
        }
        let ReturnRequest { lines, pay_in, occurred_at, customer } = &submission.request;
        let occurred_at = occurred_at.unwrap_or(event.cause.time);
        let captured = submission.captured.as_ref().ok_or_else(not_captured)?;
        let offers = captured.terms(lines, rows)?;
        let quote = quote(lines, *pay_in, &offers, occurred_at, &self.rates, captured.rates);
        let row = ReturnRow::new(request_id, content_hash, submission, occurred_at, &quote, out.batch());
        rows.put(&row)?;
        if let Ok(Charge { total, charged, conversion, lines }) = quote {
            let (return_id, customer) = (request_id.clone(), customer.clone());
            let account = AccountId::of_customer(&customer).key();
            let accepted =
                ReturnAccepted { return_id, customer, occurred_at, total, credit: charged, conversion, lines };
            out.emit(&PURCHASES, account, Fact::ReturnAccepted(accepted))?;
        }
        Ok(Reply::Return(Box::new(row)))
    }
}
