//! `POST /purchases/batch`, `/purchases/cancellations` and `/returns/batch`: many requests, one commit. An invalid line
//! does not affect the others.

use ::web::{Lines, NDJSON, Prefer, Problem, Writing};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{
    BatchItemResult, NumberedCancellationRequest, NumberedPurchaseRequest, NumberedReturnRequest, Purchase, Return,
    ReturnItemResult,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::value::to_raw_value;
use stage::Event;

use super::{PURCHASE_BYTES_MAX, Purchases, cancellation, purchase_of, returns, submission};
use crate::accept::{AcceptInput, Reply};

/// Maximum number of requests in a batch.
const REQUESTS_MAX: usize = 1_000;
/// Maximum size of a batch, in bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A line that was refused, with its request id if that could be read.
struct Refused {
    request_id: Option<String>,
    problem: Box<Problem>,
}

impl Refused {
    /// Its request id, status code and problem details.
    fn parts(self) -> (Option<String>, u16, Option<Box<RawValue>>) {
        (self.request_id, self.problem.status.as_u16(), to_raw_value(&self.problem).ok())
    }
}

/// Submits many purchases at once.
///
/// One request per line, at most 1,000 lines and 8 MiB. Each line gets the response that its request alone would have
/// got, in the same order. An invalid line does not affect the others.
#[utoipa::path(
    post, path = "/purchases/batch", tag = "purchases", operation_id = "post_batch",
    params(Prefer),
    request_body(
        description = "JSON objects, one per line: newline-delimited, not an array.",
        content = [NumberedPurchaseRequest], content_type = NDJSON
    ),
    responses(
        (
            status = 200, description = "JSON objects, one per line, in the order of the request.",
            body = [BatchItemResult<Purchase>], content_type = NDJSON,
            headers(("Preference-Applied" = String, description = "`wait=N`, if it was requested."))
        ),
        Writing
    )
)]
pub async fn post(
    purchases: Data<Purchases>,
    request: HttpRequest,
    prefer: Prefer,
    mut traces: Lines,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let event = |request: NumberedPurchaseRequest, trace: &::web::Traceparent| {
        let (request_id, request) = request.split();
        submission(request_id, request, trace)
    };
    let id = |request: &NumberedPurchaseRequest| request.request_id.0.clone();
    let batch = Batch::of(&request, payload, &mut traces, id, event).await?;
    let expected = purchases.results.register(batch.request_ids(), prefer.wait);
    let (rows, results) = batch.submit(&purchases, purchase_of).await?;
    let views = purchases.views(rows, expected).await?;
    let result = |outcome| purchase_result(outcome, |purchase| purchase.status.is_outcome());
    Ok(prefer.applied(respond(results, views, result)?))
}

/// Cancels many purchases at once.
///
/// One request per line, each with the `request_id` of its purchase: at most 1,000 lines and 8 MiB. Each line gets the
/// response that its cancellation alone would have got, in the same order. An invalid line does not affect the others.
#[utoipa::path(
    post, path = "/purchases/cancellations", tag = "purchases", operation_id = "cancel_batch",
    params(Prefer),
    request_body(
        description = "JSON objects, one per line: newline-delimited, not an array.",
        content = [NumberedCancellationRequest], content_type = NDJSON
    ),
    responses(
        (
            status = 200, description = "JSON objects, one per line, in the order of the request.",
            body = [BatchItemResult<Purchase>], content_type = NDJSON,
            headers(("Preference-Applied" = String, description = "`wait=N`, if it was requested."))
        ),
        Writing
    )
)]
pub async fn cancel(
    purchases: Data<Purchases>,
    request: HttpRequest,
    prefer: Prefer,
    mut traces: Lines,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let event = |request: NumberedCancellationRequest, trace: &::web::Traceparent| {
        cancellation::submission(request.request_id, request.occurred_at, trace)
    };
    let id = |request: &NumberedCancellationRequest| request.request_id.0.clone();
    let batch = Batch::of(&request, payload, &mut traces, id, event).await?;
    let expected = purchases.cancellations.register(batch.request_ids(), prefer.wait);
    let (rows, results) = batch.submit(&purchases, cancellation::cancelled).await?;
    let views = purchases.cancelled(rows, expected).await?;
    let result = |outcome| purchase_result(outcome, cancellation::is_over);
    Ok(prefer.applied(respond(results, views, result)?))
}

/// Takes back the goods of many returns at once.
///
/// One request per line, at most 1,000 lines and 8 MiB. Each line gets the response that its request alone would have
/// got, in the same order. An invalid line does not affect the others.
#[utoipa::path(
    post, path = "/returns/batch", tag = "returns", operation_id = "post_return_batch",
    params(Prefer),
    request_body(
        description = "JSON objects, one per line: newline-delimited, not an array.",
        content = [NumberedReturnRequest], content_type = NDJSON
    ),
    responses(
        (
            status = 200, description = "JSON objects, one per line, in the order of the request.",
            body = [ReturnItemResult<Return>], content_type = NDJSON,
            headers(("Preference-Applied" = String, description = "`wait=N`, if it was requested."))
        ),
        Writing
    )
)]
pub async fn take_back(
    purchases: Data<Purchases>,
    request: HttpRequest,
    prefer: Prefer,
    mut traces: Lines,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let event = |request: NumberedReturnRequest, trace: &::web::Traceparent| {
        let (request_id, request) = request.split();
        returns::submission(request_id, request, trace)
    };
    let id = |request: &NumberedReturnRequest| request.request_id.0.clone();
    let batch = Batch::of(&request, payload, &mut traces, id, event).await?;
    let expected = purchases.returns.register(batch.request_ids(), prefer.wait);
    let (rows, results) = batch.submit(&purchases, returns::return_of).await?;
    let views = purchases.returned(rows, expected).await?;
    Ok(prefer.applied(respond(results, views, return_result)?))
}

/// The lines of a batch, as events for the ingress stage.
struct Batch {
    lines: Vec<Result<Event<AcceptInput>, Refused>>,
    /// The size of its body.
    bytes: usize,
}

impl Batch {
    /// Reads the body. It is dropped before anybody waits for outcomes, to make room for those of other requests.
    async fn of<T: DeserializeOwned>(
        request: &HttpRequest,
        payload: web::Payload,
        traces: &mut Lines,
        id: impl Fn(&T) -> String,
        event: impl Fn(T, &::web::Traceparent) -> Event<AcceptInput>,
    ) -> Result<Self, Problem> {
        let body = ::web::ndjson_body(request, payload, BATCH_BYTES_MAX).await?;
        let line = |(number, line): (usize, &[u8])| {
            if line.len() > PURCHASE_BYTES_MAX {
                let problem = Problem::too_large(PURCHASE_BYTES_MAX, "bytes").at_line(number);
                return Err(Refused { request_id: None, problem: Box::new(problem) });
            }
            let parsed = ::web::parse::<T>(line);
            let parsed = parsed
                .map_err(|problem| Refused { request_id: id_of(line), problem: Box::new(problem.at_line(number)) })?;
            let trace = traces.trace(number, &id(&parsed));
            Ok(event(parsed, &trace))
        };
        let lines = ::web::ndjson(&body, REQUESTS_MAX)?.map(line).collect();
        Ok(Self { lines, bytes: body.len() })
    }

    fn events(&self) -> impl Iterator<Item = &Event<AcceptInput>> {
        self.lines.iter().filter_map(|line| line.as_ref().ok())
    }

    fn request_ids(&self) -> impl Iterator<Item = String> {
        self.events().map(|event| event.cause.request_id.0.clone())
    }

    /// Submits the lines that are valid, all in one commit. Returns the rows of those that were accepted, and the lines
    /// without them.
    async fn submit<R>(
        self,
        purchases: &Purchases,
        row: impl Fn(Reply) -> Result<R, Problem>,
    ) -> Result<(Vec<R>, Vec<Result<(), Refused>>), Problem> {
        let events: Vec<_> = self.events().cloned().collect();
        let replies = match events.is_empty() {
            true => Vec::new(),
            false => ::web::submit_all(purchases.ingress()?, events, self.bytes).await?,
        };
        let mut replies = replies.into_iter();
        let mut row = |event: Event<AcceptInput>| {
            let row = replies.next().map_or_else(|| Err(::web::unexpected()), &row);
            row.map_err(|problem| Refused { request_id: Some(event.cause.request_id.0), problem: Box::new(problem) })
        };
        let mut rows = Vec::with_capacity(self.lines.len());
        let lines = self.lines.into_iter();
        let results = lines.map(|line| line.and_then(&mut row).map(|row| rows.push(row))).collect();
        Ok((rows, results))
    }
}

/// The response: one line per request. `views` has what was accepted, in the order of the lines.
fn respond<V, L: Serialize>(
    results: Vec<Result<(), Refused>>,
    views: Vec<V>,
    line: impl Fn(Result<V, Refused>) -> L,
) -> Result<HttpResponse, Problem> {
    let mut views = views.into_iter();
    let mut reply = Vec::new();
    for result in results {
        let result = match result {
            Ok(()) => Ok(views.next().ok_or_else(::web::unexpected)?),
            Err(refused) => Err(refused),
        };
        serde_json::to_writer(&mut reply, &line(result)).map_err(|error| Problem::internal(&error))?;
        reply.push(b'\n');
    }
    Ok(HttpResponse::Ok().content_type(NDJSON).body(Bytes::from(reply)))
}

/// The request id of an invalid line, so that the client can tell which line it was.
fn id_of(line: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        request_id: String,
    }
    let id = serde_json::from_slice::<Id>(line).ok()?.request_id;
    contracts::request_id(&id).ok().map(|id| id.0)
}

fn purchase_result(
    result: Result<Purchase, Refused>,
    is_final: impl Fn(&Purchase) -> bool,
) -> BatchItemResult<Purchase> {
    match result {
        Ok(purchase) => {
            let (request_id, http_status) = (Some(purchase.request_id.0.clone()), status(is_final(&purchase)));
            BatchItemResult { request_id, http_status, purchase: Some(purchase), problem: None }
        }
        Err(refused) => {
            let (request_id, http_status, problem) = refused.parts();
            BatchItemResult { request_id, http_status, purchase: None, problem }
        }
    }
}

fn return_result(result: Result<Return, Refused>) -> ReturnItemResult<Return> {
    match result {
        Ok(returned) => {
            let http_status = status(returned.status.is_outcome());
            let request_id = Some(returned.request_id.0.clone());
            ReturnItemResult { request_id, http_status, returned: Some(returned), problem: None }
        }
        Err(refused) => {
            let (request_id, http_status, problem) = refused.parts();
            ReturnItemResult { request_id, http_status, returned: None, problem }
        }
    }
}

fn status(is_final: bool) -> u16 {
    if is_final { 201 } else { 202 }
}
