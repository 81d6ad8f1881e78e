//! `POST /purchases/batch`: many purchases, one commit. An invalid line does not affect the others.

use ::web::{Lines, NDJSON, Prefer, Problem, Writing};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{BatchItemResult, NumberedPurchaseRequest, Purchase};
use serde_json::value::to_raw_value;
use stage::Event;

use super::{PURCHASE_BYTES_MAX, Purchases, purchase_of, submission};
use crate::accept::{AcceptInput, PurchaseRow};

/// Maximum number of requests in a batch.
const REQUESTS_MAX: usize = 1_000;
/// Maximum size of a batch, in bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A line that was refused, with its request id if that could be read.
struct Refused {
    request_id: Option<String>,
    problem: Box<Problem>,
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
    let body = ::web::ndjson_body(&request, payload, BATCH_BYTES_MAX).await?;
    let (lines, bytes) = (read(&body, &mut traces)?, body.len());
    // Dropped before waiting for outcomes, to make room for the bodies of other requests.
    drop(body);
    let events: Vec<_> = lines.iter().filter_map(|line| line.as_ref().ok()).cloned().collect();
    let keys = events.iter().map(|event| event.cause.request_id.0.clone());
    let expected = purchases.results.register(keys, prefer.wait);
    let replies = match events.is_empty() {
        true => Vec::new(),
        false => ::web::submit_all(purchases.ingress()?, events, bytes).await?,
    };
    let mut replies = replies.into_iter();
    let mut rows = Vec::new();
    let mut results: Vec<Result<(), Refused>> = Vec::with_capacity(lines.len());
    for line in lines {
        let row = line.and_then(|event| row(event, replies.next()));
        results.push(row.map(|row| rows.push(row)));
    }
    let mut views = purchases.views(rows, expected).await?.into_iter();
    let mut reply = Vec::with_capacity(bytes * 2);
    for result in results {
        let line = match result {
            Ok(()) => accepted(views.next().ok_or_else(::web::unexpected)?),
            Err(refused) => problem(refused),
        };
        serde_json::to_writer(&mut reply, &line).map_err(|error| Problem::internal(&error))?;
        reply.push(b'\n');
    }
    Ok(prefer.applied(HttpResponse::Ok().content_type(NDJSON).body(Bytes::from(reply))))
}

fn read(body: &[u8], traces: &mut Lines) -> Result<Vec<Result<Event<AcceptInput>, Refused>>, Problem> {
    let line = |(number, line): (usize, &[u8])| {
        if line.len() > PURCHASE_BYTES_MAX {
            let problem = Problem::too_large(PURCHASE_BYTES_MAX, "bytes").at_line(number);
            return Err(Refused { request_id: None, problem: Box::new(problem) });
        }
        let parsed = ::web::parse::<NumberedPurchaseRequest>(line);
        let parsed = parsed
            .map_err(|problem| Refused { request_id: id_of(line), problem: Box::new(problem.at_line(number)) })?;
        let (request_id, request) = parsed.split();
        let trace = traces.trace(number, &request_id.0);
        Ok(submission(request_id, request, &trace))
    };
    Ok(::web::ndjson(body, REQUESTS_MAX)?.map(line).collect())
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

fn row(event: Event<AcceptInput>, reply: Option<crate::accept::Reply>) -> Result<PurchaseRow, Refused> {
    let row = reply.map_or_else(|| Err(::web::unexpected()), purchase_of);
    row.map_err(|problem| Refused { request_id: Some(event.cause.request_id.0), problem: Box::new(problem) })
}

fn accepted(purchase: Purchase) -> BatchItemResult<Purchase> {
    let http_status = if purchase.status.is_outcome() { 201 } else { 202 };
    BatchItemResult {
        request_id: Some(purchase.request_id.0.clone()),
        http_status,
        purchase: Some(purchase),
        problem: None,
    }
}

fn problem(refused: Refused) -> BatchItemResult<Purchase> {
    let Refused { request_id, problem } = refused;
    let http_status = problem.status.as_u16();
    BatchItemResult { request_id, http_status, purchase: None, problem: to_raw_value(&problem).ok() }
}
