//! The JSON of the ledger.

use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use money::{Amount, Currency, Money};
use serde::{Deserialize, Deserializer, Serialize};
use stage::RequestId;
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::words::words;
use crate::{AccountId, Overdraft, Reason, TransferId};

words!(
    /// The two sides of double entry.
    pub enum Side {
        /// Takes from the account.
        Debit = "debit",
        /// Gives to the account.
        Credit = "credit",
    }
);

words!(
    /// What was paid for. Requests of different kinds may have the same id.
    pub enum Purpose {
        /// A purchase.
        Purchase = "purchase",
        /// Nothing but the transfer itself.
        Transfer = "transfer",
        /// What it costs to go beyond an overdraft's limit.
        OverdraftFee = "overdraft_fee",
    }
);

words!(
    /// What the ledger itself can be asked to do.
    pub enum LedgerCommand {
        /// To open an account.
        Claim = "claim",
        /// To move money.
        Transfer = "transfer",
    }
);

/// Body of `POST /accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct AccountRequest {
    /// The wanted name, which becomes the account's id.
    #[serde(deserialize_with = "handle")]
    #[schema(schema_with = crate::names::handle_schema)]
    pub handle: AccountId,
    /// How far below zero it may go, in one currency; none: not at all, as in all other currencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft: Option<Overdraft>,
}

money::object!(AccountRequest, "a claim of an account: an object");

fn handle<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccountId, D::Error> {
    AccountId::handle(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// An account as `GET /accounts/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its name.
    pub id: AccountId,
    /// Credits less debits, by currency.
    #[schema(schema_with = balances)]
    pub balances: BTreeMap<Currency, Amount>,
    /// The terms it was opened with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub overdraft: Option<Overdraft>,
}

/// Body of `POST /transfers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct TransferRequest {
    /// The account to debit.
    #[serde(deserialize_with = "handle")]
    #[schema(schema_with = crate::names::handle_schema)]
    pub from: AccountId,
    /// The account to credit; another one.
    #[serde(deserialize_with = "handle")]
    #[schema(schema_with = crate::names::handle_schema)]
    pub to: AccountId,
    /// How much; above zero.
    #[serde(deserialize_with = "positive")]
    #[schema(schema_with = money::above_zero)]
    pub amount: Money,
}

money::object!(TransferRequest, "a transfer: an object");

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    let money = Money::deserialize(deserializer)?;
    if money.amount().is_positive() {
        return Ok(money);
    }
    Err(serde::de::Error::custom(format!("{money} is not above zero")))
}

words!(
    /// What has become of a transfer so far.
    pub enum TransferStatus {
        /// Both accounts are there; the payer's owner has not decided yet.
        Accepted = "accepted",
        /// Debited from the payer, for good. The payee's credit follows by itself, and may show a moment later.
        Posted = "posted",
        /// Refused. For good.
        Rejected = "rejected",
    }
);

impl TransferStatus {
    /// Whether it will never change again.
    pub fn is_outcome(self) -> bool {
        match self {
            TransferStatus::Accepted => false,
            TransferStatus::Posted | TransferStatus::Rejected => true,
        }
    }
}

/// A transfer as `GET /transfers/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// Its id, a function of the request id.
    pub id: TransferId,
    /// The client's id of the request.
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// Who pays.
    pub from: AccountId,
    /// Who is paid.
    pub to: AccountId,
    /// How much.
    pub amount: Money,
    /// What has become of it so far.
    pub status: TransferStatus,
    /// Why it was refused.
    #[schema(required)]
    pub reason: Option<Reason>,
    /// When it was taken in.
    pub accepted_at: DateTime<Utc>,
    /// When it got its outcome.
    #[schema(required)]
    pub decided_at: Option<DateTime<Utc>>,
}

/// One posting to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its place among the account's: 1, 2, 3 …
    #[schema(minimum = 1)]
    pub number: u64,
    /// The request it belongs to.
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// What it was paid for.
    pub purpose: Purpose,
    /// Which side.
    pub side: Side,
    /// How much; never negative.
    pub amount: Money,
    /// When the request came in.
    pub time: DateTime<Utc>,
}

/// A page of an account's entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entries {
    /// In order.
    pub entries: Vec<Entry>,
    /// What to ask `after` for the next page; none: that was all.
    #[schema(required)]
    pub next: Option<u64>,
}

/// The books in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialLine {
    /// Posted debits.
    pub debits: Amount,
    /// Posted credits.
    pub credits: Amount,
    /// Debits said and not yet posted.
    pub in_transit_debits: Amount,
    /// Credits said and not yet posted.
    pub in_transit_credits: Amount,
    /// All debits less all credits: always 0.
    pub difference: Amount,
}

/// The books, by currency: `GET /trial-balance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialBalance(pub BTreeMap<Currency, TrialLine>);

impl Deref for TrialBalance {
    type Target = BTreeMap<Currency, TrialLine>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl PartialSchema for TrialBalance {
    fn schema() -> RefOr<Schema> {
        money::by_currency(Ref::from_schema_name(TrialLine::name()), "The books, by currency.").into()
    }
}

impl ToSchema for TrialBalance {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((TrialLine::name().into_owned(), TrialLine::schema()));
        schemas.push((Currency::name().into_owned(), Currency::schema()));
        TrialLine::schemas(schemas);
    }
}

fn balances() -> ObjectBuilder {
    money::by_currency(Ref::from_schema_name(Amount::name()), "Credits less debits, by currency.")
}
