//! JSON of the ledger.

use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use money::{Amount, Currency, Money};
use serde::{Deserialize, Deserializer, Serialize};
use stage::RequestId;
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::string_enum::string_enum;
use crate::{AccountId, Overdraft, Reason, TransferId};

string_enum!(
    /// The two sides of double entry.
    pub enum Side {
        /// Decreases the balance of the account.
        Debit = "debit",
        /// Increases the balance of the account.
        Credit = "credit",
    }
);

string_enum!(
    /// The purpose of a payment. Requests with different purposes may have the same id.
    pub enum Purpose {
        /// A purchase.
        Purchase = "purchase",
        /// The refund of a purchase, or of a part of it.
        Refund = "refund",
        /// The refund of goods that came back in a return.
        Return = "return",
        /// The voucher for a purchase whose stock was lost.
        Voucher = "voucher",
        /// A transfer between accounts.
        Transfer = "transfer",
        /// The fee for crossing an overdraft's limit.
        OverdraftFee = "overdraft_fee",
    }
);

string_enum!(
    /// The kinds of ledger commands.
    pub enum LedgerCommand {
        /// Open an account.
        Claim = "claim",
        /// Move money between two accounts.
        Transfer = "transfer",
    }
);

/// Body of `POST /accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct AccountRequest {
    /// The requested handle, which becomes the account's id.
    #[serde(deserialize_with = "handle")]
    #[schema(schema_with = crate::names::handle_schema)]
    pub handle: AccountId,
    /// The overdraft terms, for one currency. Without them, and in all other currencies, the account may not go below
    /// zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft: Option<Overdraft>,
    /// The maximum sum of the transfers and purchases in its currency that the account pays for within a UTC day; above
    /// zero. It counts the day on which a request arrives. Fees do not count, and refunds do not restore it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_positive")]
    #[schema(schema_with = money::above_zero)]
    pub daily_limit: Option<Money>,
}

money::object!(AccountRequest, "an account request object");

fn handle<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccountId, D::Error> {
    AccountId::handle(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// An account, as returned by `GET /accounts/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// The account's id.
    pub id: AccountId,
    /// The balances by currency: credits minus debits.
    #[schema(schema_with = balances)]
    pub balances: BTreeMap<Currency, Amount>,
    /// The overdraft terms with which the account was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub overdraft: Option<Overdraft>,
    /// The maximum sum of transfers and purchases of a UTC day with which the account was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub daily_limit: Option<Money>,
}

/// Body of `POST /transfers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct TransferRequest {
    /// The account to debit.
    #[serde(deserialize_with = "handle")]
    #[schema(schema_with = crate::names::handle_schema)]
    pub from: AccountId,
    /// The account to credit; must differ from `from`.
    #[serde(deserialize_with = "handle")]
    #[schema(schema_with = crate::names::handle_schema)]
    pub to: AccountId,
    /// The amount to transfer; above zero.
    #[serde(deserialize_with = "positive")]
    #[schema(schema_with = money::above_zero)]
    pub amount: Money,
}

money::object!(TransferRequest, "a transfer request object");

fn optional_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
    positive(deserializer).map(Some)
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    let money = Money::deserialize(deserializer)?;
    if money.amount().is_positive() {
        return Ok(money);
    }
    Err(serde::de::Error::custom(format!("{money} is not above zero")))
}

string_enum!(
    /// The status of a transfer.
    pub enum TransferStatus {
        /// Both accounts exist, and the transfer is not yet authorized.
        Accepted = "accepted",
        /// The payer is debited; this is final. The payee is credited automatically, possibly a moment later.
        Posted = "posted",
        /// The transfer is rejected; this is final.
        Rejected = "rejected",
    }
);

impl TransferStatus {
    /// Whether the status is final.
    pub fn is_outcome(self) -> bool {
        match self {
            TransferStatus::Accepted => false,
            TransferStatus::Posted | TransferStatus::Rejected => true,
        }
    }
}

/// A transfer, as returned by `GET /transfers/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// The transfer's id, derived from the request id.
    pub id: TransferId,
    /// The request id, chosen by the client.
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// The account to debit.
    pub from: AccountId,
    /// The account to credit.
    pub to: AccountId,
    /// The amount.
    pub amount: Money,
    /// The current status.
    pub status: TransferStatus,
    /// The reason for a rejection; null unless rejected.
    #[schema(required)]
    pub reason: Option<Reason>,
    /// When the ledger accepted the request.
    pub accepted_at: DateTime<Utc>,
    /// When the status became final; null before.
    #[schema(required)]
    pub decided_at: Option<DateTime<Utc>>,
}

/// A posting to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The position among the account's entries: 1, 2, 3 …
    #[schema(minimum = 1)]
    pub number: u64,
    /// The id of the request that caused the posting.
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// The purpose of the payment.
    pub purpose: Purpose,
    /// Debit or credit.
    pub side: Side,
    /// The amount; never negative.
    pub amount: Money,
    /// When the request arrived.
    pub time: DateTime<Utc>,
}

/// A page of an account's entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entries {
    /// The entries, ordered by number.
    pub entries: Vec<Entry>,
    /// The value of `after` for the next page; null on the last page.
    #[schema(required)]
    pub next: Option<u64>,
}

/// The trial balance in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialLine {
    /// The sum of posted debits.
    pub debits: Amount,
    /// The sum of posted credits.
    pub credits: Amount,
    /// The sum of debits that are requested and not yet posted.
    pub in_transit_debits: Amount,
    /// The sum of credits that are requested and not yet posted.
    pub in_transit_credits: Amount,
    /// All debits minus all credits, including those in transit: always 0.
    pub difference: Amount,
}

/// The trial balance by currency, as returned by `GET /trial-balance`.
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
        money::by_currency(Ref::from_schema_name(TrialLine::name()), "The trial balance, by currency.").into()
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
    money::by_currency(Ref::from_schema_name(Amount::name()), "The balances by currency: credits minus debits.")
}
