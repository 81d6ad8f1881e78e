//! What has happened. Past tense, immutable; each is published by the service it is about.

use chrono::{DateTime, Utc};
use money::{Conversion, Money, Quantity, RateVersion, Source, UnitPrice};
use serde::{Deserialize, Serialize};
use stage::RequestId;

use crate::{AccountId, CustomerId, RatesByPair, Reason, Side, Sku};

stage::payload! {
    /// Every fact that travels between stages.
    pub enum Fact {
        /// Said by exchange-rate to `rates`.
        RatesPublished(RatesPublished),
        /// Said by exchange-rate to `rates`, once.
        HistoryImported(HistoryImported),
        /// Said by purchase to `purchases`, by payer.
        PurchaseConfirmed(PurchaseConfirmed),
        /// Said by purchase to `purchases`, by payer.
        PurchaseRejected(PurchaseRejected),
        /// Said by the ledger to `credits`, by payee.
        LegsSaid(LegsSaid),
        /// Said by the ledger to `outcomes`, by payer.
        PaymentPosted(PaymentPosted),
    }
}

/// New or changed rates of one moment were published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesPublished {
    /// Its version: 1, 2, 3 …
    pub version: RateVersion,
    /// From when on they hold.
    pub valid_from: DateTime<Utc>,
    /// Who set them.
    pub source: Source,
    /// By base and quote; only those that are new or changed.
    pub rates: RatesByPair,
}

/// The history of rates is complete: a copy that has applied this is, too, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryImported {
    /// Its version, which has no rates of its own.
    pub version: RateVersion,
    /// Whose history.
    pub source: Source,
    /// When it was imported.
    pub imported_at: DateTime<Utc>,
}

/// One line of a purchase as it was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSold {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// For how much each.
    pub unit_price: UnitPrice,
}

/// The price of a purchase is fixed; it is to be charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseConfirmed {
    /// The purchase's request.
    pub purchase: RequestId,
    /// Who pays.
    pub customer: CustomerId,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What the seller gets: the exact total, rounded once, in the price's currency.
    pub total: Money,
    /// What the customer pays: the exact total, converted once and rounded once.
    pub charged: Money,
    /// How the one became the other.
    pub conversion: Conversion,
    /// What was sold.
    pub lines: Vec<LineSold>,
}

/// A purchase was refused for a reason of the business, and nothing came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseRejected {
    /// The purchase's request.
    pub purchase: RequestId,
    /// Whose.
    pub customer: CustomerId,
    /// Why.
    pub reason: Reason,
}

/// One posting that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Where.
    pub account: AccountId,
    /// Which side.
    pub side: Side,
    /// How much; never negative.
    pub amount: Money,
}

/// The payer's leg of a transfer is posted; these are the remaining ones of one payee's partition.
/// They cannot be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegsSaid {
    /// The transfer's request.
    pub transfer: RequestId,
    /// What is due.
    pub legs: Vec<Leg>,
}

/// The customer has paid for a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentPosted {
    /// The purchase's request.
    pub purchase: RequestId,
}
