//! `PUT`/`GET /offers/{sku}`, `POST /purchases`, `POST /purchases/batch`, `GET /purchases/{id}`, `GET /copies`.

mod batch;
mod copies;
mod purchase_view;

use std::collections::BTreeSet;
use std::iter;
use std::time::Duration;

use ::web::{
    Api, Conflict, IdempotencyKey, NotFound, Prefer, Problem, Reading, UnprocessableContent, Writing, endpoints,
};
use actix::Addr;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{AccountId, LineRequest, Offer, OfferTerms, Purchase, PurchaseId, PurchaseRequest, Sku};
use dataflow::{Expected, Ingress, Results, Store, Waiters};
use stage::{Change, Event, Key, RequestId};

use crate::SERVICE;
use crate::accept::{Accept, AcceptInput, OfferHeadRow, OfferRow, PurchaseRow, Reply, SetOffer, SubmitPurchase};
use crate::rates_copy::RatesCopy;
use crate::settle::OutcomeRow;

/// Maximum size of a purchase, in bytes.
const PURCHASE_BYTES_MAX: usize = 1 << 20;
/// Approximate memory of a line with a SKU of maximum length, in bytes.
const LINE_BYTES: usize = size_of::<LineRequest>() + 64;
/// Maximum size of an offer, in bytes.
const OFFER_BYTES_MAX: usize = 4 << 10;
/// `Retry-After` while the copy of the rates is not complete.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The state that the routes and all clones share.
#[derive(Clone)]
pub struct Purchases {
    /// The store that the routes read.
    pub store: Store,
    /// The ingress stage, which receives the requests.
    pub accept: Addr<Ingress<Accept>>,
    /// The outcomes of purchases, and the clients that wait for them.
    pub results: Results<OutcomeRow>,
    /// The local copy of the rates. Requests are accepted once it is complete.
    pub copy: RatesCopy,
}

const DESCRIPTION: &str = "Prices purchases with its own copy of the rates, so that the price in a response is final \
                           and no other service was asked. It publishes the purchases; services that act on them read \
                           that stream.";

/// The API of the service. Its handlers need `Purchases`.
pub fn api() -> Api {
    Api::new(SERVICE, DESCRIPTION, endpoints![get_offer, put_offer, post, batch::post, get, copies::get])
}

/// Submits a purchase.
///
/// The same key with the same content is the same purchase, however often it is sent. A rejection is an outcome like
/// any other: `status` and `reason` show it. At most 1 MiB.
#[utoipa::path(
    post, path = "/purchases", tag = "purchases", operation_id = "post_purchase",
    params(IdempotencyKey, Prefer),
    request_body = PurchaseRequest,
    responses(
        (
            status = 201, description = "The purchase has its outcome, which is final.", body = Purchase,
            headers(
                ("Location" = String, description = "The path of the purchase."),
                ("Preference-Applied" = String, description = "`wait=N`, if it was requested.")
            )
        ),
        (
            status = 202, description = "The purchase is durable. Get it later for the outcome.", body = Purchase,
            headers(
                ("Location" = String, description = "The path of the purchase."),
                ("Preference-Applied" = String, description = "`wait=N`, if it was requested.")
            )
        ),
        Conflict, UnprocessableContent, Writing
    )
)]
async fn post(
    purchases: Data<Purchases>,
    request: HttpRequest,
    key: IdempotencyKey,
    prefer: Prefer,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body: PurchaseRequest = ::web::json_body(&request, payload, PURCHASE_BYTES_MAX).await?;
    let bytes = size_of::<PurchaseRequest>() + body.lines.len() * LINE_BYTES;
    let event = submission(RequestId(key.as_str().to_owned()), body, &trace);
    let expected = purchases.results.register(iter::once(event.cause.request_id.0.clone()), prefer.wait);
    let row = purchase_of(::web::submit(purchases.ingress()?, event, bytes).await?)?;
    let purchase = only(purchases.views(vec![row], expected).await?)?;
    let location = format!("/purchases/{}", purchase.id);
    let mut response = match purchase.status.is_outcome() {
        true => HttpResponse::Created(),
        false => HttpResponse::Accepted(),
    };
    Ok(prefer.applied(response.insert_header((LOCATION, location)).json(purchase)))
}

/// A purchase and its current status.
#[utoipa::path(
    get, path = "/purchases/{id}", tag = "purchases", operation_id = "get_purchase",
    params(("id" = PurchaseId, Path, description = "The purchase's `id`, as in `Location`.")),
    responses((status = 200, description = "The purchase.", body = Purchase), NotFound, Reading)
)]
async fn get(purchases: Data<Purchases>, request: HttpRequest) -> Result<Json<Purchase>, Problem> {
    let missing = || Problem::not_found("no such purchase");
    let id: PurchaseId = ::web::segment::decode(&request, "id")?.parse().map_err(|_| missing())?;
    let row = purchases.store.get::<PurchaseRow>(&(id.request_id(),)).await?.ok_or_else(missing)?;
    let outcomes = purchase_view::outcomes(&purchases.store, &[row.request_id.0.clone()].into()).await?;
    let commits = &purchases.results.commits;
    Ok(Json(only(purchase_view::views(&purchases.store, commits, vec![row], &outcomes).await?)?))
}

/// An offer.
#[utoipa::path(
    get, path = "/offers/{sku}", tag = "offers",
    params(("sku" = Sku, Path, description = "The product.")),
    responses((status = 200, description = "The offer.", body = Offer), NotFound, UnprocessableContent, Reading)
)]
async fn get_offer(purchases: Data<Purchases>, request: HttpRequest) -> Result<Json<Offer>, Problem> {
    let sku = sku(&request)?;
    let missing = || Problem::not_found("nobody offers that");
    let head = purchases.store.get::<OfferHeadRow>(&(sku.clone(),)).await?.ok_or_else(missing)?;
    let offer = purchases.store.get::<OfferRow>(&(sku, head.version)).await?.ok_or_else(missing)?;
    Ok(Json(offer_view(offer)))
}

/// Sets the terms of an offer.
///
/// They become a new version, for purchases accepted from now on. Setting the same terms again changes nothing.
#[utoipa::path(
    put, path = "/offers/{sku}", tag = "offers",
    params(("sku" = Sku, Path, description = "The product.")),
    request_body = OfferTerms,
    responses((status = 200, description = "The offer as it is now.", body = Offer), UnprocessableContent, Writing)
)]
async fn put_offer(
    purchases: Data<Purchases>,
    request: HttpRequest,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<Json<Offer>, Problem> {
    let sku = sku(&request)?;
    let terms: OfferTerms = ::web::json_body(&request, payload, OFFER_BYTES_MAX).await?;
    if terms.capacity.is_some() {
        return Err(Problem::unprocessable("capacity must be null: stock is not allocated yet").at("/capacity"));
    }
    // Setting the same terms again changes nothing, so the request needs no id from the client.
    let cause = ::web::cause(RequestId(trace.trace_id().to_owned()), &trace);
    let event = ::web::event(cause, Key(sku.to_string()), AcceptInput::SetOffer(SetOffer { sku, terms }));
    match ::web::submit(purchases.ingress()?, event, OFFER_BYTES_MAX).await? {
        Reply::Offer(offer) => Ok(Json(offer_view(offer))),
        Reply::Purchase(_) | Reply::Conflict => Err(::web::unexpected()),
    }
}

impl Purchases {
    /// The ingress stage, once requests are accepted.
    fn ingress(&self) -> Result<&Addr<Ingress<Accept>>, Problem> {
        if !self.copy.is_complete() {
            return Err(Problem::unavailable("the local copy of the rates is not complete yet", RETRY_AFTER));
        }
        Ok(&self.accept)
    }

    /// The views of purchases, with the outcomes that are there within the time.
    async fn views(&self, rows: Vec<PurchaseRow>, expected: Expected<OutcomeRow>) -> Result<Vec<Purchase>, Problem> {
        let open = rows.iter().filter(|row| row.reason_code.is_none());
        let accepted: Vec<_> = open.map(|row| (row.request_id.0.clone(), row.batch)).collect();
        let read = async |requests: &BTreeSet<String>| purchase_view::outcomes(&self.store, requests).await;
        let outcomes = expected.results(&accepted, read).await?;
        Ok(purchase_view::views(&self.store, &self.results.commits, rows, &outcomes).await?)
    }
}

/// Wakes the clients that wait for the outcomes among these changes.
pub fn wake(waiters: &Waiters<OutcomeRow>, changes: &[Change]) {
    for row in Change::rows::<OutcomeRow>(changes) {
        waiters.wake(&row.purchase.0, &row);
    }
}

/// A purchase request as an event for the ingress stage.
fn submission(request_id: RequestId, request: PurchaseRequest, trace: &::web::Traceparent) -> Event<AcceptInput> {
    let key = AccountId::of_customer(&request.customer).key();
    let input = AcceptInput::SubmitPurchase(SubmitPurchase { request, captured: None });
    ::web::event(::web::cause(request_id, trace), key, input)
}

fn purchase_of(reply: Reply) -> Result<PurchaseRow, Problem> {
    match reply {
        Reply::Purchase(row) => Ok(*row),
        Reply::Conflict => Err(::web::other_content()),
        Reply::Offer(_) => Err(::web::unexpected()),
    }
}

fn sku(request: &HttpRequest) -> Result<Sku, Problem> {
    let sku = ::web::segment::decode(request, "sku")?;
    sku.parse().map_err(|error: contracts::InvalidName| Problem::unprocessable(error.to_string()).of_parameter("sku"))
}

fn offer_view(offer: OfferRow) -> Offer {
    let OfferRow { sku, version, terms } = offer;
    Offer { sku, version, available: terms.capacity, terms, allocated: 0 }
}

fn only(purchases: Vec<Purchase>) -> Result<Purchase, Problem> {
    purchases.into_iter().next().ok_or_else(::web::unexpected)
}
