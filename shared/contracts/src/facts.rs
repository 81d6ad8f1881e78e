//! What has happened. Past tense, immutable; each is published by the service it is about.

use chrono::{DateTime, Utc};
use money::{Conversion, Money, Quantity, RateSource, RateVersion, UnitPrice};
use serde::{Deserialize, Serialize};
use stage::RequestId;

use crate::{AccountId, CustomerId, Overdraft, Purpose, RatesByPair, Reason, Side, Sku};

stage::payload! {
    /// What exchange-rate says to `rates`.
    pub enum RatesFact {
        /// New or changed rates.
        RatesPublished(RatesPublished),
        /// Once.
        HistoryImported(HistoryImported),
    }
}

stage::payload! {
    /// What purchase and ledger say. Who reads a stream has an enum of its own, of what stands there.
    pub enum Fact {
        /// Said by purchase to `purchases`, by payer.
        PurchaseConfirmed(PurchaseConfirmed),
        /// Said by purchase to `purchases`, by payer.
        PurchaseRejected(PurchaseRejected),
        /// Said by the ledger's way in to `instructions`, by handle.
        AccountClaimed(AccountClaimed),
        /// Said by the ledger's way in to `instructions`, by payer.
        TransferAccepted(TransferAccepted),
        /// Said by the ledger's way in to `instructions`, and by `post` to `outcomes`, by payer.
        TransferRejected(TransferRejected),
        /// Said by the ledger to `credits`, by payee.
        LegsRequested(LegsRequested),
        /// Said by the ledger to `outcomes`, by payer.
        PaymentPosted(PaymentPosted),
        /// Said by the ledger to `outcomes`, by payer.
        PaymentRefused(PaymentRefused),
        /// Said by the ledger to `outcomes`, by payer.
        TransferPosted(TransferPosted),
        /// Said by the ledger to `outcomes`, by handle.
        AccountOpened(AccountOpened),
        /// Said by the ledger to `outcomes`, by handle.
        AccountRejected(AccountRejected),
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
    pub source: RateSource,
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
    pub source: RateSource,
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

/// Somebody wants this handle; the order of the claims decides who gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountClaimed {
    /// The claim's request.
    pub claim: RequestId,
    /// The handle, and the account's id if it is won.
    pub account: AccountId,
    /// How far below zero the account may go; none: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft: Option<Overdraft>,
}

/// The claim came first, and the account is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountOpened {
    /// The claim's request.
    pub claim: RequestId,
    /// The account.
    pub account: AccountId,
}

/// The claim came too late, and nothing came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRejected {
    /// The claim's request.
    pub claim: RequestId,
    /// The handle.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// Money is to be moved; both accounts are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferAccepted {
    /// The transfer's request.
    pub transfer: RequestId,
    /// Who pays.
    pub payer: AccountId,
    /// Who is paid.
    pub payee: AccountId,
    /// How much; above zero.
    pub amount: Money,
}

/// The payer's leg of a transfer is posted, and the payee's is on its way, which nothing can stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferPosted {
    /// The transfer's request.
    pub transfer: RequestId,
}

/// A transfer was refused, and moved no money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRejected {
    /// The transfer's request.
    pub transfer: RequestId,
    /// Why.
    pub reason: Reason,
}

/// The payer's leg of a payment is posted; these are the remaining ones of one payee's partition.
/// They cannot be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegsRequested {
    /// The request behind the payment.
    pub request_id: RequestId,
    /// What it was paid for.
    pub purpose: Purpose,
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

/// The customer's account may not pay for a purchase, and no money was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRefused {
    /// The purchase's request.
    pub purchase: RequestId,
    /// Why.
    pub reason: Reason,
}
