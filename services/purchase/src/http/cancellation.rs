//! `POST /purchases/{id}/cancellation`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use ::web::{NotFound, Prefer, Problem, UnprocessableContent, Writing};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use contracts::{CancellationRequest, CancellationStatus, Purchase, PurchaseId};
use dataflow::{Expected, StoreError};
use stage::{Event, Key, ReadSet, RequestId, Row as _};

use super::{Purchases, only, purchase_view};
use crate::accept::{AcceptInput, CancelPurchase, CancellationRow, PurchaseRow, Reply};
use crate::settle::SettlementRow;

/// Maximum size of a cancellation, in bytes.
const CANCELLATION_BYTES_MAX: usize = 1 << 10;

/// Cancels a purchase.
///
/// It returns money by the terms of each offer, and waits for the outcome of the purchase if there is none yet. It is
/// completed only when the stock is free again, so that whoever buys after that can get it. Cancelling again is the same
/// cancellation.
#[utoipa::path(
    post, path = "/purchases/{id}/cancellation", tag = "purchases", operation_id = "cancel_purchase",
    params(("id" = PurchaseId, Path, description = "The purchase's `id`, as in `Location`."), Prefer),
    request_body = CancellationRequest,
    responses(
        (
            status = 201, description = "The cancellation is completed, or rejected because nothing was left to cancel.",
            body = Purchase, headers(("Preference-Applied" = String, description = "`wait=N`, if it was requested."))
        ),
        (
            status = 202, description = "The cancellation is durable. Get the purchase later.", body = Purchase,
            headers(("Preference-Applied" = String, description = "`wait=N`, if it was requested."))
        ),
        NotFound, UnprocessableContent, Writing
    )
)]
pub(super) async fn post(
    purchases: Data<Purchases>,
    request: HttpRequest,
    prefer: Prefer,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let id: PurchaseId = ::web::segment::decode(&request, "id")?.parse().map_err(|_| missing())?;
    let request_id = id.request_id();
    ::web::name_request(&request, &request_id.0);
    let CancellationRequest { occurred_at } = ::web::json_body(&request, payload, CANCELLATION_BYTES_MAX).await?;
    let expected = purchases.cancellations.register(iter::once(request_id.0.clone()), prefer.wait);
    let event = submission(request_id, occurred_at, &trace);
    let cancelled = cancelled(::web::submit(purchases.ingress()?, event, CANCELLATION_BYTES_MAX).await?)?;
    let purchase = only(purchases.cancelled(vec![cancelled], expected).await?)?;
    Ok(prefer.outcome(is_over(&purchase), None, &purchase))
}

/// A request to cancel as an event for the ingress stage.
pub(super) fn submission(
    purchase: RequestId,
    occurred_at: Option<DateTime<Utc>>,
    trace: &::web::Traceparent,
) -> Event<AcceptInput> {
    let key = Key(purchase.0.clone());
    ::web::event(::web::cause(purchase, trace), key, AcceptInput::CancelPurchase(CancelPurchase { occurred_at }))
}

/// A purchase and its cancellation, as they were recorded.
pub(super) fn cancelled(reply: Reply) -> Result<(PurchaseRow, CancellationRow), Problem> {
    match reply {
        Reply::Cancellation(row, cancellation) => Ok((*row, cancellation)),
        Reply::UnknownPurchase => Err(missing()),
        _ => Err(::web::unexpected()),
    }
}

/// Whether the cancellation of a purchase is completed or rejected.
pub(super) fn is_over(purchase: &Purchase) -> bool {
    purchase.cancellation.as_ref().is_some_and(|cancellation| cancellation.status != CancellationStatus::Pending)
}

fn missing() -> Problem {
    Problem::not_found("no such purchase")
}

impl Purchases {
    /// The views of cancelled purchases, once their cancellations are over or the time is.
    pub(super) async fn cancelled(
        &self,
        cancelled: Vec<(PurchaseRow, CancellationRow)>,
        expected: Expected<SettlementRow>,
    ) -> Result<Vec<Purchase>, Problem> {
        // One that was rejected at once has nothing to cancel, and nobody to wait for.
        let open = cancelled.iter().filter(|(row, _)| row.reason_code.is_none());
        let accepted: Vec<_> = open.map(|(row, requested)| (row.request_id.0.clone(), requested.batch)).collect();
        expected.results(&accepted, async |keys: &BTreeSet<String>| self.over(keys).await).await?;
        let rows: Vec<_> = cancelled.into_iter().map(|(row, _)| row).collect();
        let keys = rows.iter().map(|row| row.request_id.0.clone()).collect();
        let settled = purchase_view::stored(&self.store, &keys).await?;
        Ok(purchase_view::views(&self.store, &self.results.commits, rows, &settled).await?)
    }

    /// Those of these cancellations that are over, by the request id of their purchase.
    async fn over(&self, keys: &BTreeSet<String>) -> Result<BTreeMap<String, SettlementRow>, StoreError> {
        let mut reads = ReadSet::default();
        keys.iter().for_each(|key| reads.row::<SettlementRow>(&(RequestId(key.clone()),)));
        let mut over = BTreeMap::new();
        for cells in self.store.load(&reads).await?.iter().flat_map(|found| &found.rows) {
            let row = SettlementRow::from_cells(cells)?;
            if row.is_cancellation_over() {
                over.insert(row.purchase.0.clone(), row);
            }
        }
        Ok(over)
    }
}
