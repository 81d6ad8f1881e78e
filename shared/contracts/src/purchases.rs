//! JSON of purchases.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Utc};
use money::{Conversion, Currency, Money, Quantity, RateSource, UnitPrice};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use stage::RequestId;
use utoipa::ToSchema;
use utoipa::openapi::Ref;

use crate::words::words;
use crate::{CustomerId, PurchaseId, Sku};

/// The maximum number of lines of a purchase.
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
}

money::object!(NumberedPurchaseRequest, "a purchase request object with its request_id");

impl NumberedPurchaseRequest {
    /// Separates the request id from the request.
    pub fn split(self) -> (RequestId, PurchaseRequest) {
        let Self { request_id, customer, pay_in, lines, occurred_at } = self;
        (request_id, PurchaseRequest { customer, pay_in, lines, occurred_at })
    }
}

fn lines_within_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LineRequest>, D::Error> {
    let lines = Vec::<LineRequest>::deserialize(deserializer)?;
    if (1..=LINES_MAX).contains(&lines.len()) {
        return Ok(lines);
    }
    Err(serde::de::Error::custom(format!("{} lines; a purchase must have 1 to {LINES_MAX}", lines.len())))
}

pub(crate) fn optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    parse_time(&text).map(Some)
}

/// Parses an RFC 3339 time and truncates it to microseconds.
pub(crate) fn parse_time<E: serde::de::Error>(text: &str) -> Result<DateTime<Utc>, E> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| E::custom(not_a_time(text)))?;
    // The conversion to UTC may leave the years that RFC 3339 can represent, and the time could not be parsed again.
    let time =
        DateTime::from_timestamp_micros(time.timestamp_micros()).filter(|time| (0..=9999).contains(&time.year()));
    time.ok_or_else(|| E::custom("outside the years 0000 to 9999 in UTC"))
}

fn not_a_time(text: &str) -> &'static str {
    if NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok() {
        "the offset from UTC is missing: end the time with Z or an offset such as +01:00"
    } else if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
        "a date without a time: write it like 2026-10-30T14:15:00Z"
    } else {
        "not a time: write it like 2026-10-30T14:15:00Z (RFC 3339)"
    }
}

fn valid_request_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestId, D::Error> {
    crate::request_id(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

words!(
    /// The status of a purchase.
    pub enum Status {
        /// The price is fixed, and the customer is being charged.
        Confirmed = "confirmed",
        /// The customer is charged; this is final. The payee is credited possibly a moment later.
        Settled = "settled",
        /// The purchase is rejected; this is final.
        Rejected = "rejected",
    }
);

impl Status {
    /// Whether the status is final.
    pub fn is_outcome(self) -> bool {
        match self {
            Status::Confirmed => false,
            Status::Settled | Status::Rejected => true,
        }
    }
}

words!(
    /// The reason code of a rejection.
    pub enum ReasonCode {
        /// No offer exists for the product.
        UnknownOffer = "unknown_offer",
        /// A line sets its own price, but the offer has no open price or is in another currency.
        PriceNotOpen = "price_not_open",
        /// The prices of the lines are in different currencies.
        MixedCurrencies = "mixed_currencies",
        /// The total, or the amount to charge, is above the limit.
        AmountTooLarge = "amount_too_large",
        /// No exchange rate was valid at that time.
        NoRate = "no_rate",
        /// The newest exchange rate at that time was too old: its UTC date was more than 7 days earlier, regardless of
        /// the time of day.
        StaleRate = "stale_rate",
        /// The customer's account was not authorized to pay the amount.
        PaymentRefused = "payment_refused",
        /// An account of the transfer does not exist.
        UnknownAccount = "unknown_account",
        /// The payer's account may not go that far below zero.
        Overdrawn = "overdrawn",
        /// The handle belongs to another account.
        HandleTaken = "handle_taken",
    }
);

/// The reason of a rejection, as a code for programs and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The reason code, for programs.
    pub code: ReasonCode,
    /// The explanation, for people.
    pub detail: String,
}

impl Reason {
    /// Reads a reason from the two columns of a row. `None` if there is no code.
    pub fn of_columns(code: Option<ReasonCode>, detail: Option<&str>) -> Option<Self> {
        code.map(|code| Self { code, detail: detail.unwrap_or_default().to_owned() })
    }

    /// The values of the two columns of a row.
    pub fn columns(reason: Option<&Self>) -> (Option<ReasonCode>, Option<String>) {
        reason.map(|reason| (reason.code, reason.detail.clone())).unzip()
    }
}

/// The exchange rate of a conversion, for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownRate {
    /// The base currency, of which the rate prices one unit.
    pub base: Currency,
    /// The quote currency, in which the rate is expressed.
    pub quote: Currency,
    /// Units of `quote` for one unit of `base`: as published, or a quotient of published rates with 12 significant
    /// digits.
    #[schema(format = "decimal", pattern = r"^[0-9]+(\.[0-9]+)?$", examples("1.1734"))]
    pub rate: String,
    /// When the rate becomes valid; for a quotient of two rates, the earlier time.
    pub valid_from: DateTime<Utc>,
    /// The publisher of the rate.
    pub source: RateSource,
}

impl ShownRate {
    /// The rate of a conversion. `None` if both currencies are the same.
    pub fn of(conversion: &Conversion) -> Option<Self> {
        let (base, quote) = conversion.pair()?;
        let (valid_from, source) = (conversion.valid_from()?, conversion.source()?.clone());
        Some(Self { base, quote, rate: conversion.shown_rate(), valid_from, source })
    }
}

/// A status change of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Milestone {
    /// The new status.
    pub status: Status,
    /// When the change was committed.
    pub at: DateTime<Utc>,
    /// The reason, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
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
    /// The reason for a rejection; null unless rejected.
    #[schema(required)]
    pub reason: Option<Reason>,
    /// When the purchase happened.
    pub occurred_at: DateTime<Utc>,
    /// The currency in which the customer pays.
    pub pay_in: Currency,
    /// The amount that the seller gets; null if the purchase was rejected before it was priced.
    #[schema(required)]
    pub total: Option<Money>,
    /// The amount that the customer pays; null if rejected.
    #[schema(required)]
    pub charged: Option<Money>,
    /// The exchange rate between `total` and `charged`; null without conversion.
    #[schema(required)]
    pub rate: Option<ShownRate>,
    /// The requested lines, each with its unit price if it has one.
    pub lines: Vec<LineRequest>,
    /// All status changes so far.
    pub history: Vec<Milestone>,
}

/// A line of the response to `POST /purchases/batch`: either a purchase or a problem.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer<P> {
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
fn problem() -> Ref {
    Ref::from_schema_name("Problem")
}

#[cfg(test)]
mod tests {
    use serde::de::value::Error;

    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(parse_time::<Error>(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_error_says_what_is_wrong_with_a_time() {
        for text in ["2026-10-30T14:15:00", "2026-10-30T14:15:00.5"] {
            check(text, "the offset from UTC is missing: end the time with Z or an offset such as +01:00");
        }
        check("2026-10-30", "a date without a time: write it like 2026-10-30T14:15:00Z");
        for text in ["", "yesterday", "2026-02-30T14:15:00Z", "2026-10-30T14:15:00 01:00", "2026-10-30T14:15Z"] {
            check(text, "not a time: write it like 2026-10-30T14:15:00Z (RFC 3339)");
        }
        check("9999-12-31T23:59:59-00:01", "outside the years 0000 to 9999 in UTC");
    }
}
