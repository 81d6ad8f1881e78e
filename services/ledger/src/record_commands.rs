//! `record-commands`: the ledger's own ingress stage. It records claims of accounts and transfers. The owner of the
//! account decides about them.
//!
//! Whether a transfer is accepted depends on which of its accounts existed when it arrived. That is captured into the
//! request, so that deriving it again, at any time, gives the same result.

use contracts::{
    AccountClaimed, AccountId, AccountRequest, Fact, LEDGER_COMMANDS, Overdraft, Reason, ReasonCode, TransferAccepted,
    TransferRejected, TransferRequest,
};
use money::{Amount, Currency, Money};
use serde::{Deserialize, Serialize};
use stage::{
    BatchNumber, Decimal, Event, IngressStage, Integer, Json, Nullable, Outputs, Partitioning, ReadSet, RequestId,
    Row as _, Stage, StageError, Table, Text, WorkingSet,
};

use crate::post::AccountRow;

stage::payload! {
    /// A request to the ledger.
    pub enum RecordCommandsInput {
        /// Opens an account.
        ClaimAccount(ClaimAccount),
        /// Moves money.
        SubmitTransfer(SubmitTransfer),
    }
}

/// A claim of an account as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAccount {
    /// The content of the client's request.
    pub request: AccountRequest,
}

/// A transfer as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitTransfer {
    /// The content of the client's request.
    pub request: TransferRequest,
    /// Those of its accounts that did not exist; `None` until they are captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Vec<AccountId>>,
}

stage::row! {
    /// A claim of an account. Never changed: the decision about it is a row of another table.
    pub struct ClaimRow: "claims" {
        key {
            /// The client's request id, or a generated one.
            request_id: RequestId => Text,
        }
        value {
            /// Hash of the request's content, to tell a retry from another request with the same id.
            content_hash: String => Text,
            /// The requested name.
            account: AccountId => Text,
            /// The requested overdraft: how far below zero the account may go.
            overdraft: Option<Overdraft> => Nullable<Json>,
            /// The requested daily limit.
            daily_limit: Option<Money> => Nullable<Json>,
            /// The batch that wrote this row. Its batch record contains the time.
            batch: BatchNumber => Integer,
        }
    }
}

stage::row! {
    /// A transfer as it was accepted or rejected. Never changed: the decision about it is a row of another table.
    pub struct TransferRow: "transfers" {
        key {
            /// The client's request id. Each id has one transfer.
            request_id: RequestId => Text,
        }
        value {
            /// Hash of the request's content, to tell a retry from another request with the same id.
            content_hash: String => Text,
            /// The account that pays.
            payer: AccountId => Text,
            /// The account that is paid.
            payee: AccountId => Text,
            /// The amount.
            amount: Amount => Decimal,
            /// The currency of the amount.
            currency: Currency => Text,
            /// Why it was rejected; none if it was accepted.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same reason, for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The batch that wrote this row. Its batch record contains the time.
            batch: BatchNumber => Integer,
        }
    }
}

impl TransferRow {
    /// Why it was rejected here, if it was.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of_columns(self.reason_code, self.reason_detail.as_deref())
    }
}

/// A reply of the ingress stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The claim, new or as it is stored.
    Claim(ClaimRow),
    /// The transfer, new or as it is stored.
    Transfer(TransferRow),
    /// The id belongs to another request.
    Conflict,
}

/// Records claims and transfers.
pub struct RecordCommands;

impl Stage for RecordCommands {
    type Input = RecordCommandsInput;
    type Output = Fact;
    const NAME: &'static str = "record-commands";
    const PARTITIONING: Partitioning = Partitioning::Unkeyed;
    const TABLES: &'static [&'static Table] = &[ClaimRow::TABLE, TransferRow::TABLE];

    fn read_set(
        &self,
        event: &Event<RecordCommandsInput>,
        _: &WorkingSet,
        reads: &mut ReadSet,
    ) -> Result<(), StageError> {
        let key = (event.cause.request_id.clone(),);
        match &event.fact {
            RecordCommandsInput::ClaimAccount(_) => reads.row::<ClaimRow>(&key),
            RecordCommandsInput::SubmitTransfer(submission) => {
                reads.row::<TransferRow>(&key);
                if submission.unknown.is_none() {
                    looked_up(&submission.request).for_each(|account| reads.row::<AccountRow>(&(account.clone(),)));
                }
            }
        }
        Ok(())
    }

    fn apply(
        &self,
        event: &Event<RecordCommandsInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        self.submit(event, rows, out).map(drop)
    }
}

impl IngressStage for RecordCommands {
    type Reply = Reply;

    fn capture(&self, event: &mut Event<RecordCommandsInput>, rows: &WorkingSet) -> Result<(), StageError> {
        if let RecordCommandsInput::SubmitTransfer(submission) = &mut event.fact {
            let mut unknown = Vec::new();
            for account in looked_up(&submission.request) {
                if rows.get::<AccountRow>(&(account.clone(),))?.is_none() {
                    unknown.push(account.clone());
                }
            }
            submission.unknown = Some(unknown);
        }
        Ok(())
    }

    fn submit(
        &self,
        event: &Event<RecordCommandsInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<Reply, StageError> {
        let request_id = &event.cause.request_id;
        match &event.fact {
            RecordCommandsInput::ClaimAccount(submission) => claim(request_id, &submission.request, rows, out),
            RecordCommandsInput::SubmitTransfer(submission) => transfer(request_id, submission, rows, out),
        }
    }
}

/// The accounts of a transfer that may not exist. System accounts always do, and customers' accounts open on first use.
fn looked_up(request: &TransferRequest) -> impl Iterator<Item = &AccountId> {
    [&request.from, &request.to].into_iter().filter(|account| !account.is_system() && !account.is_customer())
}

fn claim(
    request_id: &RequestId,
    request: &AccountRequest,
    rows: &mut WorkingSet,
    out: &mut Outputs<Fact>,
) -> Result<Reply, StageError> {
    let content_hash = stage::content_hash(request)?;
    if let Some(row) = rows.get::<ClaimRow>(&(request_id.clone(),))? {
        return Ok(if row.content_hash == content_hash { Reply::Claim(row) } else { Reply::Conflict });
    }
    let AccountRequest { handle: account, overdraft, daily_limit } = request.clone();
    let (request_id, batch) = (request_id.clone(), out.batch());
    let row = ClaimRow {
        request_id: request_id.clone(),
        content_hash,
        account: account.clone(),
        overdraft,
        daily_limit,
        batch,
    };
    rows.put(&row)?;
    let fact = AccountClaimed { claim: request_id, account: account.clone(), overdraft, daily_limit };
    out.emit(&LEDGER_COMMANDS, account.key(), Fact::AccountClaimed(fact))?;
    Ok(Reply::Claim(row))
}

fn transfer(
    request_id: &RequestId,
    submission: &SubmitTransfer,
    rows: &mut WorkingSet,
    out: &mut Outputs<Fact>,
) -> Result<Reply, StageError> {
    let content_hash = stage::content_hash(&submission.request)?;
    if let Some(row) = rows.get::<TransferRow>(&(request_id.clone(),))? {
        return Ok(if row.content_hash == content_hash { Reply::Transfer(row) } else { Reply::Conflict });
    }
    let unknown = submission.unknown.as_deref();
    let unknown = unknown.ok_or_else(|| StageError::Rule("the transfer has no captured accounts".to_owned()))?;
    let reason = unknown.first().map(|account| Reason {
        code: ReasonCode::UnknownAccount,
        detail: format!("account {account} does not exist: open it with POST /accounts, then transfer with a new key"),
    });
    let (reason_code, reason_detail) = Reason::columns(reason.as_ref());
    let (transfer, TransferRequest { from: payer, to: payee, amount }) =
        (request_id.clone(), submission.request.clone());
    let row = TransferRow {
        request_id: transfer.clone(),
        content_hash,
        payer: payer.clone(),
        payee: payee.clone(),
        amount: amount.amount(),
        currency: amount.currency(),
        reason_code,
        reason_detail,
        batch: out.batch(),
    };
    rows.put(&row)?;
    let key = payer.key();
    let fact = match reason {
        Some(reason) => Fact::TransferRejected(TransferRejected { transfer, reason }),
        None => Fact::TransferAccepted(TransferAccepted { transfer, payer, payee, amount }),
    };
    out.emit(&LEDGER_COMMANDS, key, fact)?;
    Ok(Reply::Transfer(row))
}

#[cfg(test)]
mod tests;
