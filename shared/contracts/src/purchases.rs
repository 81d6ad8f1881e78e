//! JSON of purchases.

use chrono::{DateTime, Utc};
use money::{Currency, Money, Quantity, UnitPrice};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use stage::RequestId;
use utoipa::ToSchema;
use utoipa::openapi::Ref;

use crate::string_enum::string_enum;
use crate::time::optional_time;
use crate::{CustomerId, PurchaseId, RateQuote, Reason, Sku};

/// The maximum number of lines of a purchase or a return.
const LINES_MAX: usize = 2_000;

/// A requested line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct LineRequest {
    /// The product.
    pub sku: Sku,
    /// The number of pieces.
    pub quantity: Quantity,
    /// The price of one piece. Only allowed if the offer has an open price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<UnitPrice>,
}

money::object!(LineRequest, "a purchase line object");

/// Body of `POST /purchases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct PurchaseRequest {
    /// The customer.
    pub customer: CustomerId,
    /// The currency in which the customer pays.
    pub pay_in: Currency,
    /// The requested lines: 1 to 2,000.
    #[serde(deserialize_with = "lines_within_limit")]
    #[schema(min_items = 1, max_items = 2_000)]
    pub lines: Vec<LineRequest>,
    /// When the purchase happened; the default is when the request arrives.
    #[serde(default, deserialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
    /// Whether some of the lines are enough. Otherwise the purchase gets all of its lines or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

money::object!(PurchaseRequest, "a purchase request object");

/// A line of `POST /purchases/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct NumberedPurchaseRequest {
    /// The request id, chosen by the client. It shares one namespace with `Idempotency-Key`.
    #[serde(deserialize_with = "valid_request_id")]
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    // The other fields repeat `PurchaseRequest`: serde cannot flatten it into a struct that denies unknown fields.
    /// The customer.
    pub customer: CustomerId,
    /// The currency in which the customer pays.
    pub pay_in: Currency,
    /// The requested lines: 1 to 2,000.
    #[serde(deserialize_with = "lines_within_limit")]
    #[schema(min_items = 1, max_items = 2_000)]
    pub lines: Vec<LineRequest>,
    /// When the purchase happened; the default is when the request arrives.
    #[serde(default, deserialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
    /// Whether some of the lines are enough. Otherwise the purchase gets all of its lines or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

money::object!(NumberedPurchaseRequest, "a purchase request object with its request_id");

impl NumberedPurchaseRequest {
    /// Separates the request id from the request.
    pub fn split(self) -> (RequestId, PurchaseRequest) {
        let Self { request_id, customer, pay_in, lines, occurred_at, partial } = self;
        (request_id, PurchaseRequest { customer, pay_in, lines, occurred_at, partial })
    }
}

pub(crate) fn lines_within_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LineRequest>, D::Error> {
    let lines = Vec::<LineRequest>::deserialize(deserializer)?;
    if (1..=LINES_MAX).contains(&lines.len()) {
        return Ok(lines);
    }
    Err(serde::de::Error::custom(format!("{} lines; there must be 1 to {LINES_MAX}", lines.len())))
}

pub(crate) fn valid_request_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestId, D::Error> {
    crate::request_id(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

string_enum!(
    /// The status of a purchase.
    pub enum Status {
        /// The price is fixed, and stock is being allocated. The customer is not charged yet.
        Accepted = "accepted",
        /// The price is fixed, and the customer is being charged.
        Confirmed = "confirmed",
        /// The customer is charged; this is final. The payee is credited possibly a moment later.
        Settled = "settled",
        /// The purchase is rejected, and the customer was not charged; this is final.
        Rejected = "rejected",
        /// The customer was charged, but the stock was gone: everything is returned; this is final.
        Compensated = "compensated",
    }
);

impl Status {
    /// Whether the status is final.
    pub fn is_outcome(self) -> bool {
        match self {
            Status::Accepted | Status::Confirmed => false,
            Status::Settled | Status::Rejected | Status::Compensated => true,
        }
    }
}

/// A change of a purchase: a new status, or something that was put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Milestone {
    /// The status after the change.
    pub status: Status,
    /// When the change was committed.
    pub at: DateTime<Utc>,
    /// The reason, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// The amount that was returned, if this is a refund.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refunded: Option<Money>,
    /// The voucher beside the refund, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub voucher: Option<Money>,
    /// What became of the cancellation, if this is its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cancellation: Option<CancellationStatus>,
}

string_enum!(
    /// The status of a cancellation.
    pub enum CancellationStatus {
        /// It waits for the outcome of the purchase, or for the stock to be free again.
        Pending = "pending",
        /// The money is returned, and the stock is free again; this is final.
        Completed = "completed",
        /// There was nothing to cancel; this is final.
        Rejected = "rejected",
    }
);

/// Body of `POST /purchases/{id}/cancellation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct CancellationRequest {
    /// When the customer cancelled; the default is when the request arrives.
    #[serde(default, deserialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
}

money::object!(CancellationRequest, "a cancellation request object");

/// A line of `POST /purchases/cancellations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct NumberedCancellationRequest {
    /// The request id of the purchase to cancel.
    #[serde(deserialize_with = "valid_request_id")]
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// When the customer cancelled; the default is when the request arrives.
    #[serde(default, deserialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
}

money::object!(NumberedCancellationRequest, "a cancellation request object with the request_id of its purchase");

/// The cancellation of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancellation {
    /// Its status.
    pub status: CancellationStatus,
    /// When the customer cancelled.
    pub occurred_at: DateTime<Utc>,
}

string_enum!(
    /// What became of a line whose stock is limited.
    pub enum LineStatus {
        /// It is not decided yet.
        Open = "open",
        /// Its stock is allocated.
        Held = "held",
        /// It waits for stock.
        Queued = "queued",
        /// Stock of another product is allocated for it.
        Upgraded = "upgraded",
        /// There was no stock.
        Refused = "refused",
        /// Its stock was lost.
        Lost = "lost",
        /// It gave its stock back, or is giving it back.
        Released = "released",
    }
);

/// A line of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurchaseLine {
    /// The product.
    pub sku: Sku,
    /// The number of pieces.
    pub quantity: Quantity,
    /// The price of one piece, if it was priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<UnitPrice>,
    /// What became of it; only if its stock is limited, or it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<LineStatus>,
    /// The product that is supplied instead, if it was upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgraded_to: Option<Sku>,
}

impl From<LineRequest> for PurchaseLine {
    fn from(LineRequest { sku, quantity, unit_price }: LineRequest) -> Self {
        Self { sku, quantity, unit_price, state: None, upgraded_to: None }
    }
}

/// A purchase, as returned by `GET /purchases/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Purchase {
    /// The purchase's id, derived from the request id.
    pub id: PurchaseId,
    /// The request id, chosen by the client.
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// The customer.
    pub customer: CustomerId,
    /// The current status.
    pub status: Status,
    /// The reason why it was rejected or compensated; null otherwise.
    #[schema(required)]
    pub reason: Option<Reason>,
    /// When the purchase happened.
    pub occurred_at: DateTime<Utc>,
    /// The currency in which the customer pays.
    pub pay_in: Currency,
    /// The amount that the seller gets; null if the purchase was rejected before it was priced.
    #[schema(required)]
    pub total: Option<Money>,
    /// The amount that the customer was first charged; null if rejected, or not charged yet.
    #[schema(required)]
    pub charged: Option<Money>,
    /// The exchange rate between `total` and `charged`; null without conversion.
    #[schema(required)]
    pub rate: Option<RateQuote>,
    /// What was returned of the charged amount so far, without vouchers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Money>,
    /// The vouchers so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouchers: Option<Money>,
    /// The cancellation, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// The lines.
    pub lines: Vec<PurchaseLine>,
    /// All changes so far.
    pub history: Vec<Milestone>,
}

/// A line of the response to a batch, `POST /purchases/batch` or `/purchases/cancellations`: either a purchase or a problem.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchItemResult<P> {
    /// The request id; null if the line could not be parsed.
    #[schema(required)]
    pub request_id: Option<String>,
    /// The status code that a separate request would have received.
    #[schema(minimum = 201, maximum = 599)]
    pub http_status: u16,
    /// The purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = purchase)]
    pub purchase: Option<P>,
    /// The problem details (RFC 9457).
    #[schema(schema_with = problem)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<RawValue>>,
}

fn purchase() -> Ref {
    Ref::from_schema_name(Purchase::name())
}

/// The schema of problem details, which all error responses use.
pub(crate) fn problem() -> Ref {
    Ref::from_schema_name("Problem")
}
