//! `POST /returns` and `GET /returns/{id}`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use ::web::{Conflict, IdempotencyKey, NotFound, Prefer, Problem, Reading, UnprocessableContent, Writing};
use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{AccountId, RateQuote, Return, ReturnId, ReturnMilestone, ReturnRequest, ReturnStatus};
use dataflow::{CommitTimes, Expected, StoreError};
use money::Money;
use stage::{Event, Partition, ReadSet, RequestId, Row as _};

use super::{LINE_BYTES, PURCHASE_BYTES_MAX, Purchases};
use crate::accept::{Accept, AcceptInput, Reply, ReturnRow, SubmitReturn};
use crate::settle::{ReturnOutcomeRow, Settle};

/// Submits a return.
///
/// Goods come back without naming their purchase. Each line counts at the current price of its offer, or at its own if
/// the offer has an open price, and the whole is refunded at the rate of the return's time, as a purchase of the same
/// lines would be priced. Stock stays as it is. The same key with the same content is the same return, however often it
/// is sent. A rejection is an outcome like any other: `status` and `reason` show it. At most 1 MiB.
#[utoipa::path(
    post, path = "/returns", tag = "returns", operation_id = "post_return",
    params(IdempotencyKey, Prefer),
    request_body = ReturnRequest,
    responses(
        (
            status = 201, description = "The return has its outcome, which is final.", body = Return,
            headers(
                ("Location" = String, description = "The path of the return."),
                ("Preference-Applied" = String, description = "`wait=N`, if it was requested.")
            )
        ),
        (
            status = 202, description = "The return is durable, and its refund is certain. Get it later for the outcome.",
            body = Return,
            headers(
                ("Location" = String, description = "The path of the return."),
                ("Preference-Applied" = String, description = "`wait=N`, if it was requested.")
            )
        ),
        Conflict, UnprocessableContent, Writing
    )
)]
pub(super) async fn post(
    purchases: Data<Purchases>,
    request: HttpRequest,
    key: IdempotencyKey,
    prefer: Prefer,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body: ReturnRequest = ::web::json_body(&request, payload, PURCHASE_BYTES_MAX).await?;
    let bytes = size_of::<ReturnRequest>() + body.lines.len() * LINE_BYTES;
    let event = submission(RequestId(key.as_str().to_owned()), body, &trace);
    let expected = purchases.returns.register(iter::once(event.cause.request_id.0.clone()), prefer.wait);
    let row = return_of(::web::submit(purchases.ingress()?, event, bytes).await?)?;
    let returned = only(purchases.returned(vec![row], expected).await?)?;
    let location = format!("/returns/{}", returned.id);
    Ok(prefer.outcome(returned.status.is_outcome(), Some(location), &returned))
}

/// A return and its current status.
#[utoipa::path(
    get, path = "/returns/{id}", tag = "returns", operation_id = "get_return",
    params(("id" = ReturnId, Path, description = "The return's `id`, as in `Location`.")),
    responses((status = 200, description = "The return.", body = Return), NotFound, Reading)
)]
pub(super) async fn get(purchases: Data<Purchases>, request: HttpRequest) -> Result<Json<Return>, Problem> {
    let missing = || Problem::not_found("no such return");
    let id: ReturnId = ::web::segment::decode(&request, "id")?.parse().map_err(|_| missing())?;
    let row = purchases.store.get::<ReturnRow>(&(id.request_id(),)).await?.ok_or_else(missing)?;
    let refunded = purchases.refunded(&[row.request_id.0.clone()].into()).await?;
    Ok(Json(only(purchases.return_views(vec![row], &refunded).await?)?))
}

/// A return request as an event for the ingress stage.
pub(super) fn submission(
    request_id: RequestId,
    request: ReturnRequest,
    trace: &::web::Traceparent,
) -> Event<AcceptInput> {
    let key = AccountId::of_customer(&request.customer).key();
    let input = AcceptInput::SubmitReturn(SubmitReturn { request, captured: None });
    ::web::event(::web::cause(request_id, trace), key, input)
}

/// A return as it was recorded.
pub(super) fn return_of(reply: Reply) -> Result<ReturnRow, Problem> {
    match reply {
        Reply::Return(row) => Ok(*row),
        Reply::Conflict => Err(::web::other_content()),
        _ => Err(::web::unexpected()),
    }
}

fn only(returns: Vec<Return>) -> Result<Return, Problem> {
    returns.into_iter().next().ok_or_else(::web::unexpected)
}

impl Purchases {
    /// The views of returns, with the refunds that are posted within the time.
    pub(super) async fn returned(
        &self,
        rows: Vec<ReturnRow>,
        expected: Expected<ReturnOutcomeRow>,
    ) -> Result<Vec<Return>, Problem> {
        let open = rows.iter().filter(|row| row.reason_code.is_none());
        let accepted: Vec<_> = open.map(|row| (row.request_id.0.clone(), row.batch)).collect();
        let refunded = expected.results(&accepted, async |keys: &BTreeSet<String>| self.refunded(keys).await).await?;
        Ok(self.return_views(rows, &refunded).await?)
    }

    /// The posted refunds of these returns, by request id.
    async fn refunded(&self, keys: &BTreeSet<String>) -> Result<BTreeMap<String, ReturnOutcomeRow>, StoreError> {
        let mut reads = ReadSet::default();
        keys.iter().for_each(|key| reads.row::<ReturnOutcomeRow>(&(RequestId(key.clone()),)));
        let found = self.store.load(&reads).await?;
        let rows = found.iter().flat_map(|found| &found.rows).map(|cells| ReturnOutcomeRow::from_cells(cells));
        rows.map(|row| row.map(|row| (row.return_id.0.clone(), row)).map_err(StoreError::from)).collect()
    }

    async fn return_views(
        &self,
        rows: Vec<ReturnRow>,
        refunded: &BTreeMap<String, ReturnOutcomeRow>,
    ) -> Result<Vec<Return>, StoreError> {
        let mut times = CommitTimes::new(&self.store, &self.returns.commits);
        let mut returns = Vec::with_capacity(rows.len());
        for row in rows {
            let refunded = refunded.get(&row.request_id.0);
            returns.push(view(row, refunded, &mut times).await?);
        }
        Ok(returns)
    }
}

async fn view(
    row: ReturnRow,
    refunded: Option<&ReturnOutcomeRow>,
    times: &mut CommitTimes<'_>,
) -> Result<Return, StoreError> {
    let money = |amount: Option<_>, currency: Option<_>| {
        let both = amount.zip(currency).map(|(amount, currency)| Money::new(amount, currency));
        both.transpose().map_err(|error| StoreError::Damaged(format!("return {}: {error}", row.request_id)))
    };
    let mut status = if row.reason_code.is_some() { ReturnStatus::Rejected } else { ReturnStatus::Accepted };
    let at = times.of::<Accept>(Partition(0), row.batch).await?;
    let mut history = vec![ReturnMilestone { status, at }];
    if let Some(refunded) = refunded {
        status = ReturnStatus::Settled;
        let at = times.of::<Settle>(refunded.partition, refunded.batch).await?;
        history.push(ReturnMilestone { status, at });
    }
    Ok(Return {
        id: ReturnId::of(&row.request_id),
        status,
        reason: row.reason(),
        total: money(row.total, row.price_currency)?,
        refunded: money(row.refunded, Some(row.pay_in))?,
        rate: row.conversion.as_ref().and_then(RateQuote::of),
        request_id: row.request_id,
        customer: row.customer,
        occurred_at: row.occurred_at,
        pay_in: row.pay_in,
        lines: row.lines,
        history,
    })
}
