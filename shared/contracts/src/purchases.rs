//! The JSON of purchases.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Utc};
use money::{Conversion, Currency, Money, Quantity, RateSource, UnitPrice};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use stage::RequestId;
use utoipa::ToSchema;
use utoipa::openapi::Ref;

use crate::words::words;
use crate::{CustomerId, PurchaseId, Sku};

/// Lines of a purchase at most.
const LINES_MAX: usize = 2_000;

/// A wanted line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct LineRequest {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// For how much each; only where the offer has an open price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<UnitPrice>,
}

money::object!(LineRequest, "a line: an object");

/// Body of `POST /purchases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct PurchaseRequest {
    /// Who buys.
    pub customer: CustomerId,
    /// The currency to pay in.
    pub pay_in: Currency,
    /// What is wanted: 1 to 2,000 lines.
    #[serde(deserialize_with = "some_lines")]
    #[schema(min_items = 1, max_items = 2_000)]
    pub lines: Vec<LineRequest>,
    /// When it happened; none: when it comes in.
    #[serde(default, deserialize_with = "in_microseconds", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
}

money::object!(PurchaseRequest, "a purchase: an object");

/// A line of `POST /purchases/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct NumberedPurchaseRequest {
    /// The client's id, in the same space as `Idempotency-Key`.
    #[serde(deserialize_with = "valid_request_id")]
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    // From here on as in `PurchaseRequest`: serde cannot flatten it into a struct that denies unknown fields.
    /// Who buys.
    pub customer: CustomerId,
    /// The currency to pay in.
    pub pay_in: Currency,
    /// What is wanted: 1 to 2,000 lines.
    #[serde(deserialize_with = "some_lines")]
    #[schema(min_items = 1, max_items = 2_000)]
    pub lines: Vec<LineRequest>,
    /// When it happened; none: when it comes in.
    #[serde(default, deserialize_with = "in_microseconds", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
}

money::object!(NumberedPurchaseRequest, "a purchase with its request_id: an object");

impl NumberedPurchaseRequest {
    /// The id, and the request as it would come alone.
    pub fn split(self) -> (RequestId, PurchaseRequest) {
        let Self { request_id, customer, pay_in, lines, occurred_at } = self;
        (request_id, PurchaseRequest { customer, pay_in, lines, occurred_at })
    }
}

fn some_lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LineRequest>, D::Error> {
    let lines = Vec::<LineRequest>::deserialize(deserializer)?;
    if (1..=LINES_MAX).contains(&lines.len()) {
        return Ok(lines);
    }
    Err(serde::de::Error::custom(format!("{} lines; a purchase has 1 to {LINES_MAX}", lines.len())))
}

pub(crate) fn in_microseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    moment(&text).map(Some)
}

/// Reads a time, to the microsecond.
pub(crate) fn moment<E: serde::de::Error>(text: &str) -> Result<DateTime<Utc>, E> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| E::custom(not_a_time(text)))?;
    // In UTC it may have left the years that RFC 3339 can write, and could not be read back.
    let time =
        DateTime::from_timestamp_micros(time.timestamp_micros()).filter(|time| (0..=9999).contains(&time.year()));
    time.ok_or_else(|| E::custom("not in the years 0000 to 9999 of UTC"))
}

fn not_a_time(text: &str) -> &'static str {
    if NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok() {
        "its offset from UTC is missing: end it with Z, or with an offset such as +01:00"
    } else if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
        "a date alone is no time: write it as 2026-10-30T14:15:00Z"
    } else {
        "not a time such as 2026-10-30T14:15:00Z (RFC 3339)"
    }
}

fn valid_request_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestId, D::Error> {
    crate::request_id(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

words!(
    /// What has become of a purchase so far.
    pub enum Status {
        /// The price is fixed, and the customer is being charged.
        Confirmed = "confirmed",
        /// Charged, for good. The payee may see the money a moment later than the payer.
        Settled = "settled",
        /// Refused. For good.
        Rejected = "rejected",
    }
);

impl Status {
    /// Whether it will never change again.
    pub fn is_outcome(self) -> bool {
        match self {
            Status::Confirmed => false,
            Status::Settled | Status::Rejected => true,
        }
    }
}

words!(
    /// Why something was refused.
    pub enum ReasonCode {
        /// Nobody offers that.
        UnknownOffer = "unknown_offer",
        /// A line names its own price, and the offer's is not open or in another currency.
        PriceNotOpen = "price_not_open",
        /// The lines are priced in several currencies.
        MixedCurrencies = "mixed_currencies",
        /// The total is beyond what one purchase may come to.
        AmountTooLarge = "amount_too_large",
        /// There was no rate at that time.
        NoRate = "no_rate",
        /// The newest rate at that time was too old: its UTC date lay more than 7 days before, whatever the hours.
        StaleRate = "stale_rate",
        /// The customer's account may not pay so much.
        PaymentRefused = "payment_refused",
        /// One of a transfer's accounts is not there.
        UnknownAccount = "unknown_account",
        /// The payer's account may not go so far below zero.
        Overdrawn = "overdrawn",
        /// Somebody else has the handle.
        HandleTaken = "handle_taken",
    }
);

/// Why, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For programs.
    pub code: ReasonCode,
    /// For people.
    pub detail: String,
}

impl Reason {
    /// The reason in the two columns of a row, if there is one.
    pub fn of_columns(code: Option<ReasonCode>, detail: Option<&str>) -> Option<Self> {
        code.map(|code| Self { code, detail: detail.unwrap_or_default().to_owned() })
    }

    /// The two columns of a row for it.
    pub fn columns(reason: Option<&Self>) -> (Option<ReasonCode>, Option<String>) {
        reason.map(|reason| (reason.code, reason.detail.clone())).unzip()
    }
}

/// The rate a purchase was converted at, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownRate {
    /// One unit of this
    pub base: Currency,
    /// is so many of this.
    pub quote: Currency,
    /// As published, or the quotient of published rates with 12 significant digits.
    #[schema(format = "decimal", pattern = r"^[0-9]+(\.[0-9]+)?$", examples("1.1734"))]
    pub rate: String,
    /// From when on it holds; of two, the older.
    pub valid_from: DateTime<Utc>,
    /// Who set it.
    pub source: RateSource,
}

impl ShownRate {
    /// How a conversion is shown; none without conversion.
    pub fn of(conversion: &Conversion) -> Option<Self> {
        let (base, quote) = conversion.pair()?;
        let (valid_from, source) = (conversion.valid_from()?, conversion.source()?.clone());
        Some(Self { base, quote, rate: conversion.shown_rate(), valid_from, source })
    }
}

/// A step of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Milestone {
    /// What it became.
    pub status: Status,
    /// When that was committed.
    pub at: DateTime<Utc>,
    /// Why, if there is something to say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
}

/// A purchase as `GET /purchases/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Purchase {
    /// Its id, a function of the request id.
    pub id: PurchaseId,
    /// The client's id of the request.
    #[schema(schema_with = crate::names::request_id_schema)]
    pub request_id: RequestId,
    /// Who buys.
    pub customer: CustomerId,
    /// What has become of it so far.
    pub status: Status,
    /// Why it was refused.
    #[schema(required)]
    pub reason: Option<Reason>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The currency to pay in.
    pub pay_in: Currency,
    /// What the seller gets; none when it was refused before its price was fixed.
    #[schema(required)]
    pub total: Option<Money>,
    /// What the customer pays; none when it was refused.
    #[schema(required)]
    pub charged: Option<Money>,
    /// The rate in between; none without conversion.
    #[schema(required)]
    pub rate: Option<ShownRate>,
    /// What was wanted, each with its unit price if it has one.
    pub lines: Vec<LineRequest>,
    /// The steps so far.
    pub history: Vec<Milestone>,
}

/// A line of the answer to `POST /purchases/batch`. Either a purchase or a problem.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer<P> {
    /// The client's id, if the line could be read.
    #[schema(required)]
    pub request_id: Option<String>,
    /// What the request alone would have been answered.
    #[schema(minimum = 201, maximum = 599)]
    pub http_status: u16,
    /// The purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = purchase)]
    pub purchase: Option<P>,
    /// The problem, as RFC 9457 has it.
    #[schema(schema_with = problem)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<RawValue>>,
}

fn purchase() -> Ref {
    Ref::from_schema_name(Purchase::name())
}

/// The problem that all error answers are.
fn problem() -> Ref {
    Ref::from_schema_name("Problem")
}

#[cfg(test)]
mod tests {
    use serde::de::value::Error;

    use super::*;

    fn check(text: &str, refusal: &str) {
        assert_eq!(moment::<Error>(text).unwrap_err().to_string(), refusal);
    }

    #[test]
    fn what_is_no_time_is_told_in_words() {
        for text in ["2026-10-30T14:15:00", "2026-10-30T14:15:00.5"] {
            check(text, "its offset from UTC is missing: end it with Z, or with an offset such as +01:00");
        }
        check("2026-10-30", "a date alone is no time: write it as 2026-10-30T14:15:00Z");
        for text in ["", "yesterday", "2026-02-30T14:15:00Z", "2026-10-30T14:15:00 01:00", "2026-10-30T14:15Z"] {
            check(text, "not a time such as 2026-10-30T14:15:00Z (RFC 3339)");
        }
        check("9999-12-31T23:59:59-00:01", "not in the years 0000 to 9999 of UTC");
    }
}
