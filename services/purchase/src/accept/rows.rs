//! The tables of `accept`.

use chrono::{DateTime, Utc};
use contracts::{Constraint, CustomerId, LineRequest, LineSold, OfferTerms, Reason, ReasonCode, Sku};
use money::{Amount, Conversion, Currency};
use rules::{Charge, Quote};
use stage::{BatchNumber, Decimal, Flag, Integer, Json, Nullable, RequestId, Text, Time};

use super::price::Priced;
use super::{SubmitPurchase, SubmitReturn};

stage::row! {
    /// The current version of an offer.
    pub struct OfferHeadRow: "offer_heads" {
        key {
            /// The product.
            sku: Sku => Text,
        }
        value {
            /// The newest version.
            version: u64 => Integer,
        }
    }
}

stage::row! {
    /// A version of an offer. Never changed.
    pub struct OfferRow: "offers" {
        key {
            /// The product.
            sku: Sku => Text,
            /// 1, 2, 3 …
            version: u64 => Integer,
        }
        value {
            /// The terms of this version.
            terms: OfferTerms => Json,
        }
    }
}

stage::row! {
    /// A recall of pieces of an offer. Never changed.
    pub struct RecallRow: "recalls" {
        key {
            /// The client's request id.
            request_id: RequestId => Text,
        }
        value {
            /// The product.
            sku: Sku => Text,
            /// The number of pieces that were lost.
            quantity: u64 => Integer,
            /// The version of the offer with what is left.
            version: u64 => Integer,
        }
    }
}

stage::row! {
    /// A request to cancel a purchase. Never changed: what became of it is in `settlements`.
    pub struct CancellationRow: "cancellations" {
        key {
            /// The request id of the purchase.
            purchase: RequestId => Text,
        }
        value {
            /// When the customer cancelled.
            occurred_at: DateTime<Utc> => Time,
            /// The batch that wrote this row.
            batch: BatchNumber => Integer,
        }
    }
}

stage::row! {
    /// A purchase as it was accepted or rejected. Never changed: its later outcome is a row of another table.
    pub struct PurchaseRow: "purchases" {
        key {
            /// The client's request id. Each id has one purchase.
            request_id: RequestId => Text,
        }
        value {
            /// Hash of the request's content, to tell a retry from another request with the same id.
            content_hash: String => Text,
            /// The customer who buys.
            customer: CustomerId => Text,
            /// The currency to pay in.
            pay_in: Currency => Text,
            /// When the purchase happened.
            occurred_at: DateTime<Utc> => Time,
            /// Why it was rejected; none if it was accepted.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same reason, for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The amount that the seller gets.
            total: Option<Amount> => Nullable<Decimal>,
            /// The currency of `total`.
            price_currency: Option<Currency> => Nullable<Text>,
            /// The amount that the customer pays, in `pay_in`.
            charged: Option<Amount> => Nullable<Decimal>,
            /// How `total` was converted to `charged`.
            conversion: Option<Conversion> => Nullable<Json>,
            /// The requested lines, each with its unit price if the purchase was accepted.
            lines: Vec<LineRequest> => Json,
            /// The version of each line's offer; empty if it was rejected.
            offers: Vec<u64> => Json,
            /// How its stock is allocated; none if no line has limited stock.
            constraint: Option<Constraint> => Nullable<Text>,
            /// Whether some of the lines are enough.
            partial: bool => Flag,
            /// The batch that wrote this row. Its batch record contains the time.
            batch: BatchNumber => Integer,
        }
    }
}

stage::row! {
    /// A return as it was accepted or rejected. Never changed: that its refund is posted is a row of another table.
    pub struct ReturnRow: "returns" {
        key {
            /// The client's request id. Each id has one return.
            request_id: RequestId => Text,
        }
        value {
            /// Hash of the request's content, to tell a retry from another request with the same id.
            content_hash: String => Text,
            /// The customer who gets the money.
            customer: CustomerId => Text,
            /// The currency to pay in.
            pay_in: Currency => Text,
            /// When the goods came back.
            occurred_at: DateTime<Utc> => Time,
            /// Why it was rejected; none if it was accepted.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same reason, for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The amount that the seller gives back.
            total: Option<Amount> => Nullable<Decimal>,
            /// The currency of `total`.
            price_currency: Option<Currency> => Nullable<Text>,
            /// The amount that the customer gets, in `pay_in`.
            refunded: Option<Amount> => Nullable<Decimal>,
            /// How `total` was converted to `refunded`.
            conversion: Option<Conversion> => Nullable<Json>,
            /// The returned lines, each with its unit price if the return was accepted.
            lines: Vec<LineRequest> => Json,
            /// The batch that wrote this row. Its batch record contains the time.
            batch: BatchNumber => Integer,
        }
    }
}

impl ReturnRow {
    pub(super) fn new(
        request_id: &RequestId,
        content_hash: String,
        submission: &SubmitReturn,
        occurred_at: DateTime<Utc>,
        quote: &Quote,
        batch: BatchNumber,
    ) -> Self {
        let request = &submission.request;
        let price = quote.as_ref().ok();
        let (reason_code, reason_detail) = Reason::columns(quote.as_ref().err());
        Self {
            request_id: request_id.clone(),
            content_hash,
            customer: request.customer.clone(),
            pay_in: request.pay_in,
            occurred_at,
            reason_code,
            reason_detail,
            total: price.map(|price| price.total.amount()),
            price_currency: price.map(|price| price.total.currency()),
            refunded: price.map(|price| price.charged.amount()),
            conversion: price.map(|price| price.conversion.clone()),
            lines: lines(&request.lines, price),
            batch,
        }
    }

    /// Why it was rejected, if it was.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of_columns(self.reason_code, self.reason_detail.as_deref())
    }
}

impl PurchaseRow {
    pub(super) fn new(
        request_id: &RequestId,
        content_hash: String,
        submission: &SubmitPurchase,
        occurred_at: DateTime<Utc>,
        priced: &Result<Priced, Reason>,
        batch: BatchNumber,
    ) -> Self {
        let request = &submission.request;
        let charge = priced.as_ref().ok().map(|priced| &priced.charge);
        let limited = priced.as_ref().ok().and_then(|priced| priced.limited.as_ref());
        let (reason_code, reason_detail) = Reason::columns(priced.as_ref().err());
        let captured = submission.captured.as_ref().filter(|_| charge.is_some());
        Self {
            request_id: request_id.clone(),
            content_hash,
            customer: request.customer.clone(),
            pay_in: request.pay_in,
            occurred_at,
            reason_code,
            reason_detail,
            total: charge.map(|charge| charge.total.amount()),
            price_currency: charge.map(|charge| charge.total.currency()),
            charged: charge.map(|charge| charge.charged.amount()),
            conversion: charge.map(|charge| charge.conversion.clone()),
            lines: lines(&request.lines, charge),
            offers: captured.map(|captured| captured.offers.clone()).unwrap_or_default(),
            constraint: limited.map(|limited| limited.constraint()),
            partial: request.partial,
            batch,
        }
    }

    /// Why it was rejected, if it was.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of_columns(self.reason_code, self.reason_detail.as_deref())
    }
}

/// The lines with the price of each, or as they were requested.
fn lines(requested: &[LineRequest], priced: Option<&Charge>) -> Vec<LineRequest> {
    priced.map_or_else(|| requested.to_vec(), |priced| priced.lines.iter().map(sold).collect())
}

fn sold(line: &LineSold) -> LineRequest {
    LineRequest { sku: line.sku.clone(), quantity: line.quantity, unit_price: Some(line.unit_price) }
}
