//! Returns: goods that come back without naming their purchase. The facts about them, and their JSON.

use chrono::{DateTime, Utc};
use money::{Conversion, Currency, Money};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stage::RequestId;
use utoipa::ToSchema;
use utoipa::openapi::Ref;

use crate::purchases::{lines_within_limit, problem, valid_request_id};
use crate::string_enum::string_enum;
use crate::time::optional_time;
use crate::{CustomerId, LineRequest, LineSold, RateQuote, Reason, ReturnId};

/// Body of `POST /returns`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct ReturnRequest {
    /// The customer who gets the money.
    pub customer: CustomerId,
    /// The currency in which the customer is paid.
    pub pay_in: Currency,
    /// The returned goods, each at the current price of its offer, or at its own if the offer has an open price: 1 to
    /// 2,000 lines.
    #[serde(deserialize_with = "lines_within_limit")]
    #[schema(min_items = 1, max_items = 2_000)]
    pub lines: Vec<LineRequest>,
    /// When the goods came back; the default is when the request arrives. The rate is that of this time.
    #[serde(default, deserialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
}

money::object!(ReturnRequest, "a return request object");

/// A line of `POST /returns/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct NumberedReturnRequest {
    /// The request id, chosen by the client. It shares one namespace with the `Idempotency-Key` of returns.
    #[serde(deserialize_with = "valid_request_id")]
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    // The other fields repeat `ReturnRequest`: serde cannot flatten it into a struct that denies unknown fields.
    /// The customer who gets the money.
    pub customer: CustomerId,
    /// The currency in which the customer is paid.
    pub pay_in: Currency,
    /// The returned goods, each at the current price of its offer, or at its own if the offer has an open price: 1 to
    /// 2,000 lines.
    #[serde(deserialize_with = "lines_within_limit")]
    #[schema(min_items = 1, max_items = 2_000)]
    pub lines: Vec<LineRequest>,
    /// When the goods came back; the default is when the request arrives. The rate is that of this time.
    #[serde(default, deserialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
}

money::object!(NumberedReturnRequest, "a return request object with its request_id");

impl NumberedReturnRequest {
    /// Separates the request id from the request.
    pub fn split(self) -> (RequestId, ReturnRequest) {
        let Self { request_id, customer, pay_in, lines, occurred_at } = self;
        (request_id, ReturnRequest { customer, pay_in, lines, occurred_at })
    }
}

string_enum!(
    /// The status of a return.
    pub enum ReturnStatus {
        /// The amount is fixed and cannot be refused any more. The ledger has not posted it yet.
        Accepted = "accepted",
        /// The customer's account is credited; this is final. The seller is debited possibly a moment later.
        Settled = "settled",
        /// The return is rejected, and no money was moved; this is final.
        Rejected = "rejected",
    }
);

impl ReturnStatus {
    /// Whether the status is final.
    pub fn is_outcome(self) -> bool {
        match self {
            ReturnStatus::Accepted => false,
            ReturnStatus::Settled | ReturnStatus::Rejected => true,
        }
    }
}

/// A new status of a return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReturnMilestone {
    /// The status after the change.
    pub status: ReturnStatus,
    /// When the change was committed.
    pub at: DateTime<Utc>,
}

/// A return, as returned by `GET /returns/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Return {
    /// The return's id, derived from the request id.
    pub id: ReturnId,
    /// The request id, chosen by the client.
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// The customer.
    pub customer: CustomerId,
    /// The current status.
    pub status: ReturnStatus,
    /// The reason why it was rejected; null otherwise.
    #[schema(required)]
    pub reason: Option<Reason>,
    /// When the goods came back.
    pub occurred_at: DateTime<Utc>,
    /// The currency in which the customer is paid.
    pub pay_in: Currency,
    /// The amount that the seller gives back; null if rejected.
    #[schema(required)]
    pub total: Option<Money>,
    /// The amount that the customer gets; null if rejected.
    #[schema(required)]
    pub refunded: Option<Money>,
    /// The exchange rate between `total` and `refunded`; null without conversion.
    #[schema(required)]
    pub rate: Option<RateQuote>,
    /// The lines, each with its unit price if the return was accepted.
    pub lines: Vec<LineRequest>,
    /// All changes so far.
    pub history: Vec<ReturnMilestone>,
}

/// A line of the response to `POST /returns/batch`: either a return or a problem.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReturnItemResult<R> {
    /// The request id; null if the line could not be parsed.
    #[schema(required)]
    pub request_id: Option<String>,
    /// The status code that a separate request would have received.
    #[schema(minimum = 201, maximum = 599)]
    pub http_status: u16,
    /// The return.
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = returned)]
    pub returned: Option<R>,
    /// The problem details (RFC 9457).
    #[schema(schema_with = problem)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<RawValue>>,
}

fn returned() -> Ref {
    Ref::from_schema_name(Return::name())
}

/// Goods came back, and their price is to be refunded. It cannot be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnAccepted {
    /// The id of the return request.
    pub return_id: RequestId,
    /// The customer, who is credited.
    pub customer: CustomerId,
    /// When the goods came back.
    pub occurred_at: DateTime<Utc>,
    /// The amount that the seller gives back: the exact total, rounded once, in the currency of the prices.
    pub total: Money,
    /// The amount that the customer gets: the exact total, converted once and rounded once.
    pub credit: Money,
    /// The conversion from `total` to `credit`.
    pub conversion: Conversion,
    /// The lines of the return.
    pub lines: Vec<LineSold>,
}

/// The refund of a return was posted: the customer is credited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnPosted {
    /// The id of the return request.
    pub return_id: RequestId,
    /// The amount that was credited to the customer.
    pub credit: Money,
}
