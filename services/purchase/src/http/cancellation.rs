//! `POST /purchases/{id}/cancellation`.

use std::collections::BTreeSet;
use std::iter;

use ::web::{NotFound, Prefer, Problem, UnprocessableContent, Writing};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{CancellationRequest, CancellationStatus, Purchase, PurchaseId};
use dataflow::StoreError;
use stage::Key;

use super::Purchases;
use crate::accept::{AcceptInput, CancelPurchase, Reply};
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
    let missing = || Problem::not_found("no such purchase");
    let id: PurchaseId = ::web::segment::decode(&request, "id")?.parse().map_err(|_| missing())?;
    let request_id = id.request_id();
    ::web::name_request(&request, &request_id.0);
    let CancellationRequest { occurred_at } = ::web::json_body(&request, payload, CANCELLATION_BYTES_MAX).await?;
    let expected = purchases.cancellations.register(iter::once(request_id.0.clone()), prefer.wait);
    let input = AcceptInput::CancelPurchase(CancelPurchase { occurred_at });
    let event = ::web::event(::web::cause(request_id.clone(), &trace), Key(request_id.0.clone()), input);
    let (row, cancellation) = match ::web::submit(purchases.ingress()?, event, CANCELLATION_BYTES_MAX).await? {
        Reply::Cancellation(row, cancellation) => (row, cancellation),
        Reply::UnknownPurchase => return Err(missing()),
        _ => return Err(::web::unexpected()),
    };
    if row.reason_code.is_none() {
        let read = async |keys: &BTreeSet<String>| {
            let row = match keys.is_empty() {
                true => None,
                false => purchases.store.get::<SettlementRow>(&(request_id.clone(),)).await?,
            };
            let over = row.filter(SettlementRow::is_cancellation_over);
            Ok::<_, StoreError>(over.map(|row| (request_id.0.clone(), row)).into_iter().collect())
        };
        expected.results(&[(request_id.0.clone(), cancellation.batch)], read).await?;
    }
    let purchase = purchases.stored_view(*row).await?;
    let status = purchase.cancellation.as_ref().map(|cancellation| cancellation.status);
    let mut response = match status {
        Some(CancellationStatus::Completed | CancellationStatus::Rejected) => HttpResponse::Created(),
        Some(CancellationStatus::Pending) | None => HttpResponse::Accepted(),
    };
    Ok(prefer.applied(response.json(purchase)))
}
