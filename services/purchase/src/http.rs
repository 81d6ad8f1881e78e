//! The routes: offers, purchases, their cancellation, returns, and the local copy.

mod batch;
mod cancellation;
mod copies;
mod offers;
mod purchase_view;
mod returns;

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::time::Duration;

use ::web::{
    Api, Conflict, IdempotencyKey, NotFound, Prefer, Problem, Reading, UnprocessableContent, Writing, endpoints,
};
use actix::Addr;
use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{AccountId, LineRequest, Purchase, PurchaseId, PurchaseRequest};
use dataflow::{Expected, Ingress, Results, Store, StoreError, Waiters};
use stage::{Change, Event, RequestId};

use crate::SERVICE;
use crate::accept::{Accept, AcceptInput, PurchaseRow, Reply, SubmitPurchase};
use crate::allocate::StockRow;
use crate::rates_copy::RatesCopy;
use crate::settle::{OutcomeRow, ReturnOutcomeRow, SettlementRow};

use self::purchase_view::Settled;
#[cfg(test)]
pub(crate) use self::purchase_view::lines;

/// Maximum size of a purchase, in bytes.
const PURCHASE_BYTES_MAX: usize = 1 << 20;
/// Approximate memory of a line with a SKU of maximum length, in bytes.
const LINE_BYTES: usize = size_of::<LineRequest>() + 64;
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
    pub results: Results<Settled>,
    /// The ends of cancellations, and the clients that wait for them.
    pub cancellations: Results<SettlementRow>,
    /// The refunds of returns, and the clients that wait for them.
    pub returns: Results<ReturnOutcomeRow>,
    /// The clients that wait for a product's recall, by SKU.
    pub recalls: Waiters<StockRow>,
    /// The local copy of the rates. Requests are accepted once it is complete.
    pub copy: RatesCopy,
}

const DESCRIPTION: &str = "Prices purchases with its own copy of the rates, so that the price in a response is final \
                           and no other service was asked. It publishes the purchases; services that act on them read \
                           that stream.";

/// The API of the service. Its handlers need `Purchases`.
pub fn api() -> Api {
    let endpoints = endpoints![
        offers::get,
        offers::put,
        offers::recall,
        post,
        batch::post,
        batch::cancel,
        get,
        cancellation::post,
        returns::post,
        batch::take_back,
        returns::get,
        copies::get
    ];
    Api::new(SERVICE, DESCRIPTION, endpoints)
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
    Ok(prefer.outcome(purchase.status.is_outcome(), Some(location), &purchase))
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
    Ok(Json(purchases.stored_view(row).await?))
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
    async fn views(&self, rows: Vec<PurchaseRow>, expected: Expected<Settled>) -> Result<Vec<Purchase>, Problem> {
        let open = rows.iter().filter(|row| row.reason_code.is_none());
        let accepted: Vec<_> = open.map(|row| (row.request_id.0.clone(), row.batch)).collect();
        let read = async |requests: &BTreeSet<String>| {
            let mut stored = purchase_view::stored(&self.store, requests).await?;
            stored.retain(|_, settled| settled.outcome.is_some());
            Ok::<_, StoreError>(stored)
        };
        let settled = expected.results(&accepted, read).await?;
        Ok(purchase_view::views(&self.store, &self.results.commits, rows, &settled).await?)
    }

    /// The view of a purchase as it is stored now.
    async fn stored_view(&self, row: PurchaseRow) -> Result<Purchase, Problem> {
        let settled = purchase_view::stored(&self.store, &[row.request_id.0.clone()].into()).await?;
        only(purchase_view::views(&self.store, &self.results.commits, vec![row], &settled).await?)
    }
}

/// Wakes the clients that wait for the outcomes, the ends of cancellations and the refunds of returns among these changes
/// of `settle`.
pub fn wake(
    results: &Waiters<Settled>,
    cancellations: &Waiters<SettlementRow>,
    returns: &Waiters<ReturnOutcomeRow>,
    changes: &[Change],
) {
    for refunded in Change::rows::<ReturnOutcomeRow>(changes) {
        returns.wake(&refunded.return_id.0, &refunded);
    }
    let mut settlements: BTreeMap<_, _> =
        Change::rows::<SettlementRow>(changes).map(|row| (row.purchase.0.clone(), row)).collect();
    for (purchase, row) in settlements.iter().filter(|(_, row)| row.is_cancellation_over()) {
        cancellations.wake(purchase, row);
    }
    for outcome in Change::rows::<OutcomeRow>(changes) {
        let purchase = outcome.purchase.0.clone();
        let settlement = settlements.remove(&purchase);
        results.wake(&purchase, &Settled { outcome: Some(outcome), settlement, cancellation: None });
    }
}

/// Wakes the clients that wait for a recall, by these changes of `allocate`.
pub fn wake_recalls(recalls: &Waiters<StockRow>, changes: &[Change]) {
    for stock in Change::rows::<StockRow>(changes).filter(|stock| stock.recall_from.is_none()) {
        recalls.wake(stock.sku.as_str(), &stock);
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
        _ => Err(::web::unexpected()),
    }
}

fn only(purchases: Vec<Purchase>) -> Result<Purchase, Problem> {
    purchases.into_iter().next().ok_or_else(::web::unexpected)
}
