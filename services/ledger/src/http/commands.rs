//! The commands of the ledger: claims of accounts and transfers.

use std::collections::BTreeSet;
use std::iter;
use std::time::Duration;

use ::web::{
    Conflict, IdempotencyKey, NotFound, OptionalIdempotencyKey, Prefer, Problem, ProblemType, Reading,
    UnprocessableContent, Writing,
};
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json, Payload};
use actix_web::{HttpRequest, HttpResponse};
use contracts::{
    Account, AccountRequest, LedgerCommand, Reason, Transfer, TransferId, TransferRequest, TransferStatus,
};
use dataflow::{CommitTimes, Expected, StoreError, Waiters};
use money::Money;
use stage::{BatchNumber, Change, Partition, RequestId};

use super::{Ledger, books};
use crate::post::{DecisionRow, Post};
use crate::record_commands::{
    ClaimAccount, ClaimRow, RecordCommands, RecordCommandsInput, Reply, SubmitTransfer, TransferRow,
};

/// Maximum size of a claim or a transfer, in bytes.
const REQUEST_BYTES_MAX: usize = 4 << 10;
/// How long a claim waits for its decision, unless `Prefer` allows more. A decision takes some milliseconds.
const CLAIM_WAIT: Duration = Duration::from_secs(10);
/// `Retry-After` for a claim that is not decided yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const HANDLE_TAKEN: ProblemType = ProblemType { code: "handle-taken", title: "The handle is taken" };

/// Claims a handle, and opens the account if the claim comes first.
///
/// The response waits up to 10 s for the decision, or longer if `Prefer` allows it, never shorter. Without
/// `Idempotency-Key`, each request is a separate claim.
#[utoipa::path(
    post, path = "/accounts", tag = "accounts", operation_id = "post_account",
    params(OptionalIdempotencyKey, Prefer),
    request_body = AccountRequest,
    responses(
        (
            status = 201, description = "The account is open.", body = Account,
            headers(("Location" = String, description = "The path of the account."))
        ),
        Conflict, UnprocessableContent, Writing
    )
)]
pub async fn claim(
    ledger: Data<Ledger>,
    request: HttpRequest,
    prefer: Prefer,
    trace: ::web::Traceparent,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let key = IdempotencyKey::optional(&request)?;
    let can_ask_again = key.is_some();
    let request_id = key.map_or_else(|| uuid::Uuid::new_v4().to_string(), |key| key.as_str().to_owned());
    ::web::name_request(&request, &request_id);
    let request: AccountRequest = ::web::json_body(&request, payload, REQUEST_BYTES_MAX).await?;
    let account = request.handle.clone();
    let input = RecordCommandsInput::ClaimAccount(ClaimAccount { request });
    // It waits even without `Prefer`, because the decision makes the difference between 201 and 409.
    let wait = prefer.wait.unwrap_or_default().max(CLAIM_WAIT);
    let expected = ledger.register(LedgerCommand::Claim, &request_id, Some(wait));
    let event = ::web::event(::web::cause(RequestId(request_id), &trace), account.key(), input);
    let claim = match ::web::submit(&ledger.record_commands, event, REQUEST_BYTES_MAX).await? {
        Reply::Claim(claim) => claim,
        Reply::Conflict => return Err(::web::other_content()),
        Reply::Transfer(_) => return Err(::web::unexpected()),
    };
    let ClaimRow { request_id, account, batch, .. } = claim;
    let decision = ledger.decision(LedgerCommand::Claim, &request_id, batch, expected).await?;
    let path = format!("/accounts/{}", ::web::segment::encode(account.as_str()));
    // Without a key, the same request would be another claim, which may lose against this one.
    let undecided = || match can_ask_again {
        true => {
            let detail = "the claim is recorded but not decided yet: send the same request with its key again";
            Problem::unavailable(detail, RETRY_AFTER)
        }
        false => {
            let detail = format!(
                "the claim is recorded but not decided yet: GET {path} shows later whether the account is open, but \
                 only a claim with an Idempotency-Key can show whose it is"
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    };
    match decision.ok_or_else(undecided)?.reason() {
        Some(Reason { detail, .. }) => Err(Problem::conflict(detail).of(&HANDLE_TAKEN).at("/handle")),
        None => {
            let account = books::show(&ledger.store, account).await?.ok_or_else(undecided)?;
            Ok(HttpResponse::Created().insert_header((LOCATION, path)).json(account))
        }
    }
}

/// Moves money from one account to another.
///
/// The same key with the same content is the same transfer, however often it is sent. A rejection is an outcome like
/// any other: `status` and `reason` show it.
#[utoipa::path(
    post, path = "/transfers", tag = "transfers", operation_id = "post_transfer",
    params(IdempotencyKey, Prefer),
    request_body = TransferRequest,
    responses(
        (
            status = 201, description = "The transfer has its outcome, which is final.", body = Transfer,
            headers(
                ("Location" = String, description = "The path of the transfer."),
                ("Preference-Applied" = String, description = "`wait=N`, if it was requested.")
            )
        ),
        (
            status = 202, description = "The transfer is durable. Get it later for the outcome.", body = Transfer,
            headers(
                ("Location" = String, description = "The path of the transfer."),
                ("Preference-Applied" = String, description = "`wait=N`, if it was requested.")
            )
        ),
        Conflict, UnprocessableContent, Writing
    )
)]
pub async fn transfer(
    ledger: Data<Ledger>,
    request: HttpRequest,
    key: IdempotencyKey,
    prefer: Prefer,
    trace: ::web::Traceparent,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let request: TransferRequest = ::web::json_body(&request, payload, REQUEST_BYTES_MAX).await?;
    if request.from == request.to {
        return Err(Problem::unprocessable("to must not be the paying account").at("/to"));
    }
    let (request_id, payer) = (RequestId(key.as_str().to_owned()), request.from.key());
    let input = RecordCommandsInput::SubmitTransfer(SubmitTransfer { request, unknown: None });
    let event = ::web::event(::web::cause(request_id, &trace), payer, input);
    let expected = ledger.register(LedgerCommand::Transfer, key.as_str(), prefer.wait);
    let row = match ::web::submit(&ledger.record_commands, event, REQUEST_BYTES_MAX).await? {
        Reply::Transfer(row) => row,
        Reply::Conflict => return Err(::web::other_content()),
        Reply::Claim(_) => return Err(::web::unexpected()),
    };
    let decision = match row.reason() {
        Some(_) => None,
        None => ledger.decision(LedgerCommand::Transfer, &row.request_id, row.batch, expected).await?,
    };
    let transfer = ledger.transfer_view(row, decision).await?;
    let location = format!("/transfers/{}", transfer.id);
    Ok(prefer.outcome(transfer.status.is_outcome(), Some(location), &transfer))
}

/// A transfer and its current status.
#[utoipa::path(
    get, path = "/transfers/{id}", tag = "transfers", operation_id = "get_transfer",
    params(("id" = TransferId, Path, description = "The transfer's `id`, as in `Location`.")),
    responses((status = 200, description = "The transfer.", body = Transfer), NotFound, Reading)
)]
pub async fn get_transfer(ledger: Data<Ledger>, request: HttpRequest) -> Result<Json<Transfer>, Problem> {
    let missing = || Problem::not_found("no such transfer");
    let id: TransferId = ::web::segment::decode(&request, "id")?.parse().map_err(|_| missing())?;
    let row = ledger.store.get::<TransferRow>(&(id.request_id(),)).await?.ok_or_else(missing)?;
    let decision = ledger.decided(LedgerCommand::Transfer, &row.request_id).await?;
    Ok(Json(ledger.transfer_view(row, decision).await?))
}

impl Ledger {
    /// Registers a request that is about to be submitted for its decision.
    fn register(&self, kind: LedgerCommand, request: &str, wait: Option<Duration>) -> Expected<DecisionRow> {
        self.results.register(iter::once(waiting_for(kind, request)), wait)
    }

    /// The decision about a request that was accepted in this batch; `None` if there is none when the time is over.
    async fn decision(
        &self,
        kind: LedgerCommand,
        request_id: &RequestId,
        batch: BatchNumber,
        expected: Expected<DecisionRow>,
    ) -> Result<Option<DecisionRow>, StoreError> {
        let key = waiting_for(kind, &request_id.0);
        let read = async |_: &BTreeSet<String>| {
            let decided = self.decided(kind, request_id).await?;
            Ok::<_, StoreError>(decided.map(|row| (key.clone(), row)).into_iter().collect())
        };
        Ok(expected.results(&[(key.clone(), batch)], read).await?.remove(&key))
    }

    async fn decided(&self, kind: LedgerCommand, request_id: &RequestId) -> Result<Option<DecisionRow>, StoreError> {
        self.store.get::<DecisionRow>(&(kind, request_id.clone())).await
    }

    async fn transfer_view(&self, row: TransferRow, decision: Option<DecisionRow>) -> Result<Transfer, StoreError> {
        let mut times = CommitTimes::new(&self.store, &self.results.commits);
        let accepted_at = times.of::<RecordCommands>(Partition(0), row.batch).await?;
        let (mut reason, mut decided_at) = (row.reason(), None);
        if let Some(decision) = &decision {
            reason = decision.reason();
            decided_at = Some(times.of::<Post>(decision.partition, decision.batch).await?);
        } else if reason.is_some() {
            decided_at = Some(accepted_at);
        }
        let status = match (&reason, decided_at) {
            (Some(_), _) => TransferStatus::Rejected,
            (None, Some(_)) => TransferStatus::Posted,
            (None, None) => TransferStatus::Accepted,
        };
        let amount = Money::new(row.amount, row.currency);
        let amount = amount.map_err(|error| StoreError::Damaged(format!("transfer {}: {error}", row.request_id)))?;
        let TransferRow { request_id, payer: from, payee: to, .. } = row;
        let id = TransferId::of(&request_id);
        Ok(Transfer { id, request_id, from, to, amount, status, reason, accepted_at, decided_at })
    }
}

/// Wakes the clients that wait for the decisions among these changes.
pub fn wake(waiters: &Waiters<DecisionRow>, changes: &[Change]) {
    for row in Change::rows::<DecisionRow>(changes) {
        waiters.wake(&waiting_for(row.kind, &row.request_id.0), &row);
    }
}

/// The key under which clients wait for a decision.
fn waiting_for(kind: LedgerCommand, request: &str) -> String {
    format!("{kind} {request}")
}
