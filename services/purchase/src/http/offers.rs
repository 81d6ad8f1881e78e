//! `PUT`/`GET /offers/{sku}` and `POST /offers/{sku}/recall`.

use std::time::Instant;

use ::web::{Conflict, IdempotencyKey, NotFound, Prefer, Problem, Reading, UnprocessableContent, Writing};
use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{Compensation, Offer, OfferTerms, RecallRequest, Sku};
use dataflow::StoreError;
use rules::Stock;
use stage::{Key, RequestId};

use super::Purchases;
use crate::accept::{AcceptInput, OfferHeadRow, OfferRow, RecallRow, RecallStock, Reply, SetOffer};
use crate::allocate::StockRow;

/// Maximum size of an offer, in bytes.
const OFFER_BYTES_MAX: usize = 4 << 10;

/// An offer.
#[utoipa::path(
    get, path = "/offers/{sku}", tag = "offers", operation_id = "get_offer",
    params(("sku" = Sku, Path, description = "The product.")),
    responses((status = 200, description = "The offer.", body = Offer), NotFound, UnprocessableContent, Reading)
)]
pub(super) async fn get(purchases: Data<Purchases>, request: HttpRequest) -> Result<Json<Offer>, Problem> {
    let sku = sku(&request)?;
    let head = purchases.store.get::<OfferHeadRow>(&(sku.clone(),)).await?.ok_or_else(missing)?;
    let offer = purchases.store.get::<OfferRow>(&(sku, head.version)).await?.ok_or_else(missing)?;
    Ok(Json(purchases.offer_view(offer).await?))
}

/// Sets the terms of an offer.
///
/// They become a new version, for purchases accepted from now on. Setting the same terms again changes nothing.
#[utoipa::path(
    put, path = "/offers/{sku}", tag = "offers", operation_id = "put_offer",
    params(("sku" = Sku, Path, description = "The product.")),
    request_body = OfferTerms,
    responses((status = 200, description = "The offer as it is now.", body = Offer), UnprocessableContent, Writing)
)]
pub(super) async fn put(
    purchases: Data<Purchases>,
    request: HttpRequest,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<Json<Offer>, Problem> {
    let sku = sku(&request)?;
    let terms: OfferTerms = ::web::json_body(&request, payload, OFFER_BYTES_MAX).await?;
    if let Some(at) = terms.compensation.iter().position(|step| *step == Compensation::Upgrade(sku.clone())) {
        return Err(Problem::unprocessable(format!("{sku} is no upgrade of itself")).at(format!("/compensation/{at}")));
    }
    let compensation = terms.compensation.clone();
    // Setting the same terms again changes nothing, so the request needs no id from the client.
    let cause = ::web::cause(RequestId(trace.trace_id().to_owned()), &trace);
    let event = ::web::event(cause, Key(sku.to_string()), AcceptInput::SetOffer(SetOffer { sku, terms }));
    match ::web::submit(purchases.ingress()?, event, OFFER_BYTES_MAX).await? {
        Reply::Offer(offer) => Ok(Json(purchases.offer_view(offer).await?)),
        Reply::UnknownUpgrade(at) => {
            let step = compensation.get(at).map(ToString::to_string).unwrap_or_default();
            let what = format!("{step}: nobody offers that; set its offer first");
            Err(Problem::unprocessable(what).at(format!("/compensation/{at}")))
        }
        _ => Err(::web::unexpected()),
    }
}

/// Takes lost pieces out of an offer.
///
/// The capacity that is left becomes a new version. The newest allocations above it are put right by the `compensation`
/// of their offer, those of strict purchases as well. The same key with the same content is the same recall.
#[utoipa::path(
    post, path = "/offers/{sku}/recall", tag = "offers", operation_id = "recall_offer",
    params(("sku" = Sku, Path, description = "The product."), IdempotencyKey, Prefer),
    request_body = RecallRequest,
    responses(
        (
            status = 201, description = "Nothing is allocated above what is left.", body = Offer,
            headers(("Preference-Applied" = String, description = "`wait=N`, if it was requested."))
        ),
        (
            status = 202, description = "The recall is durable. Get the offer later.", body = Offer,
            headers(("Preference-Applied" = String, description = "`wait=N`, if it was requested."))
        ),
        NotFound, Conflict, UnprocessableContent, Writing
    )
)]
pub(super) async fn recall(
    purchases: Data<Purchases>,
    request: HttpRequest,
    key: IdempotencyKey,
    prefer: Prefer,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let sku = sku(&request)?;
    let RecallRequest { quantity } = ::web::json_body(&request, payload, OFFER_BYTES_MAX).await?;
    let until = Instant::now() + prefer.wait.unwrap_or_default();
    let cause = ::web::cause(RequestId(key.as_str().to_owned()), &trace);
    let input = AcceptInput::RecallStock(RecallStock { sku: sku.clone(), quantity });
    let event = ::web::event(cause, Key(sku.to_string()), input);
    let recall = match ::web::submit(purchases.ingress()?, event, OFFER_BYTES_MAX).await? {
        Reply::Recall(recall) => recall,
        Reply::Conflict => return Err(::web::other_content()),
        Reply::UnknownOffer => return Err(missing()),
        Reply::RecallAboveCapacity(capacity) => return Err(above_capacity(quantity, capacity)),
        _ => return Err(::web::unexpected()),
    };
    let is_done = purchases.recalled(&recall, until).await?;
    let offer = purchases.store.get::<OfferRow>(&(sku, recall.version)).await?.ok_or_else(missing)?;
    Ok(prefer.outcome(is_done, None, &purchases.offer_view(offer).await?))
}

impl Purchases {
    /// Waits until the stock of a recall is trimmed, or the time is over. Returns whether it is.
    async fn recalled(&self, recall: &RecallRow, until: Instant) -> Result<bool, StoreError> {
        let is_trimmed = |stock: &StockRow| stock.version >= recall.version && stock.recall_from.is_none();
        loop {
            // Registered before the look, so that no change is missed.
            let waiter = self.recalls.register(recall.sku.as_str());
            let stock = self.store.get::<StockRow>(&(recall.sku.clone(),)).await?;
            let left = until.saturating_duration_since(Instant::now());
            if stock.as_ref().is_some_and(is_trimmed) || left.is_zero() {
                return Ok(stock.as_ref().is_some_and(is_trimmed));
            }
            let Some(waiter) = waiter else { return Ok(false) };
            if waiter.wait(left).await.as_ref().is_some_and(is_trimmed) {
                return Ok(true);
            }
        }
    }

    /// An offer with the stock that is allocated and left.
    async fn offer_view(&self, offer: OfferRow) -> Result<Offer, StoreError> {
        let OfferRow { sku, version, terms } = offer;
        let stock = self.store.get::<StockRow>(&(sku.clone(),)).await?;
        // Until the stage that allocates has read a new version, the stock is still judged by the one before.
        let stock = Stock { ceiling: terms.limit(), ..stock.map(StockRow::stock).unwrap_or_default() };
        let (allocated, available) = (stock.allocated, stock.available());
        Ok(Offer { sku, version, terms, allocated, available })
    }
}

fn missing() -> Problem {
    Problem::not_found("nobody offers that")
}

fn above_capacity(quantity: u64, capacity: Option<u64>) -> Problem {
    let problem = match capacity {
        None => Problem::unprocessable("the offer has no capacity, so none of it can be lost"),
        Some(capacity) => Problem::unprocessable(format!("{quantity} of {capacity} pieces cannot be lost")),
    };
    problem.at("/quantity")
}

fn sku(request: &HttpRequest) -> Result<Sku, Problem> {
    let sku = ::web::segment::decode(request, "sku")?;
    sku.parse().map_err(|error: contracts::InvalidName| Problem::unprocessable(error.to_string()).of_parameter("sku"))
}
