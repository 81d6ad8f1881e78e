//! Facts: immutable events named in the past tense. The service that a fact is about publishes it.

use chrono::{DateTime, Utc};
use money::{Amount, Conversion, Money, Quantity, RateSource, RateVersion, UnitPrice};
use serde::{Deserialize, Serialize};
use stage::RequestId;

use crate::{
    AccountId, CancellationRequested, CustomerId, LinesDecided, Overdraft, PurchasePlaced, PurchaseRefunded, Purpose,
    RatesByPair, Reason, ReturnAccepted, ReturnPosted, Side, Sku, StockClaimed, StockContinued, StockLimited,
    StockReleased,
};

stage::payload! {
    /// The facts that exchange-rate emits to the stream `rates`.
    pub enum RatesFact {
        /// New or changed rates were published.
        RatesPublished(RatesPublished),
        /// The history of rates is complete. Emitted once.
        HistoryImported(HistoryImported),
    }
}

stage::payload! {
    /// The facts that purchase and ledger emit. A stage that reads a stream defines an enum of that stream's facts.
    pub enum Fact {
        /// Emitted by purchase to `purchases`, keyed by payer.
        PurchaseConfirmed(PurchaseConfirmed),
        /// Emitted by purchase to `purchases`, keyed by payer.
        PurchaseRejected(PurchaseRejected),
        /// Emitted by the purchase stage `settle` to `purchases`, keyed by payer.
        PurchaseRefunded(PurchaseRefunded),
        /// Emitted by the purchase stage `accept` to `purchases`, keyed by the customer's account.
        ReturnAccepted(ReturnAccepted),
        /// Emitted by the purchase stages `accept` and `allocate` to `allocations`, keyed by SKU.
        StockClaimed(StockClaimed),
        /// Emitted by the purchase stage `settle` to `allocations`, keyed by SKU.
        StockReleased(StockReleased),
        /// Emitted by the purchase stage `accept` to `allocations`, keyed by SKU.
        StockLimited(StockLimited),
        /// Emitted by the purchase stage `allocate` to `allocations`, keyed by SKU.
        StockContinued(StockContinued),
        /// Emitted by the purchase stage `accept` to `lines`, keyed by payer.
        PurchasePlaced(PurchasePlaced),
        /// Emitted by the purchase stage `allocate` to `lines`, keyed by payer.
        LinesDecided(LinesDecided),
        /// Emitted by the purchase stage `accept` to `lines`, keyed by payer.
        CancellationRequested(CancellationRequested),
        /// Emitted by the ledger stage `record-commands` to `ledger-commands`, keyed by handle.
        AccountClaimed(AccountClaimed),
        /// Emitted by the ledger stage `record-commands` to `ledger-commands`, keyed by payer.
        TransferAccepted(TransferAccepted),
        /// Emitted by the ledger stage `record-commands` to `ledger-commands` and by `post` to `outcomes`, keyed by
        /// payer.
        TransferRejected(TransferRejected),
        /// Emitted by the ledger stage `post` to `credits`, keyed by payee.
        LegsRequested(LegsRequested),
        /// Emitted by the ledger stage `post` to `outcomes`, keyed by payer.
        PaymentPosted(PaymentPosted),
        /// Emitted by the ledger stage `post` to `outcomes`, keyed by payer.
        PaymentRefused(PaymentRefused),
        /// Emitted by the ledger stage `post` to `outcomes`, keyed by the customer's account.
        ReturnPosted(ReturnPosted),
        /// Emitted by the ledger stage `post` to `outcomes`, keyed by payer.
        TransferPosted(TransferPosted),
        /// Emitted by the ledger stage `post` to `outcomes`, keyed by handle.
        AccountOpened(AccountOpened),
        /// Emitted by the ledger stage `post` to `outcomes`, keyed by handle.
        AccountRejected(AccountRejected),
    }
}

/// New or changed rates, all valid from the same time, were published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesPublished {
    /// The version of the rates: 1, 2, 3 …
    pub version: RateVersion,
    /// When the rates become valid.
    pub valid_from: DateTime<Utc>,
    /// The source of the rates.
    pub source: RateSource,
    /// The new or changed rates, by base and quote.
    pub rates: RatesByPair,
}

/// The history of rates is complete. A local copy that has applied this fact is complete from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryImported {
    /// The version of this fact; no rates belong to it.
    pub version: RateVersion,
    /// The source of the history.
    pub source: RateSource,
    /// When the history was imported.
    pub imported_at: DateTime<Utc>,
}

/// A line of a confirmed purchase or an accepted return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSold {
    /// The product.
    pub sku: Sku,
    /// The number of pieces.
    pub quantity: Quantity,
    /// The price of one piece.
    pub unit_price: UnitPrice,
}

/// A purchase was priced, and the customer is to be charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseConfirmed {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// The customer, who is the payer.
    pub customer: CustomerId,
    /// When the purchase happened.
    pub occurred_at: DateTime<Utc>,
    /// The amount that the seller gets: the exact total, rounded once, in the currency of the prices.
    pub total: Money,
    /// The amount that the customer pays: the exact total, converted once and rounded once.
    pub charged: Money,
    /// The conversion from `total` to `charged`.
    pub conversion: Conversion,
    /// The lines of the purchase.
    pub lines: Vec<LineSold>,
    /// Whether some of the lines claim limited stock: the purchase then has no outcome before they are decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_limited: bool,
}

/// A purchase was rejected for a business reason and has no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseRejected {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// The customer.
    pub customer: CustomerId,
    /// The reason.
    pub reason: Reason,
}

/// A posting that is still to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// The account.
    pub account: AccountId,
    /// Debit or credit.
    pub side: Side,
    /// The amount; never negative.
    pub amount: Money,
}

impl Leg {
    /// The balance of the account, credits minus debits, once this is posted.
    pub fn after(&self, balance: Amount) -> Amount {
        match self.side {
            Side::Debit => balance - self.amount.amount(),
            Side::Credit => balance + self.amount.amount(),
        }
    }
}

/// A client claimed a handle for a new account. The first claim of a handle wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountClaimed {
    /// The id of the claim's request.
    pub claim: RequestId,
    /// The handle, which becomes the account's id if the claim wins.
    pub account: AccountId,
    /// The overdraft terms of the account. `None`: the account may not go below zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft: Option<Overdraft>,
    /// The maximum sum of its transfers and purchases of a UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_limit: Option<Money>,
}

/// A claim won, and the account is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountOpened {
    /// The id of the claim's request.
    pub claim: RequestId,
    /// The account.
    pub account: AccountId,
}

/// A claim was rejected because the handle is taken. It has no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRejected {
    /// The id of the claim's request.
    pub claim: RequestId,
    /// The claimed handle.
    pub account: AccountId,
    /// The reason.
    pub reason: Reason,
}

/// A transfer was accepted; both accounts exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferAccepted {
    /// The id of the transfer request.
    pub transfer: RequestId,
    /// The account to debit.
    pub payer: AccountId,
    /// The account to credit.
    pub payee: AccountId,
    /// The amount; above zero.
    pub amount: Money,
}

/// The payer's leg of a transfer is posted and the payee's leg is requested. The transfer is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferPosted {
    /// The id of the transfer request.
    pub transfer: RequestId,
}

/// A transfer was rejected and moved no money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRejected {
    /// The id of the transfer request.
    pub transfer: RequestId,
    /// The reason.
    pub reason: Reason,
}

/// The payer's leg of a payment is posted; these are the remaining legs of one payee's account. They cannot be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegsRequested {
    /// The id of the request that caused the payment.
    pub request_id: RequestId,
    /// The purpose of the payment.
    pub purpose: Purpose,
    /// The legs to post.
    pub legs: Vec<Leg>,
}

/// The payment of a purchase was posted: the customer has paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentPosted {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// Whether the purchase has limited stock, as its confirmation says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_limited: bool,
}

/// The customer's account was not authorized to pay for a purchase. No money was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRefused {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// Whether the purchase has limited stock, as its confirmation says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_limited: bool,
    /// The reason.
    pub reason: Reason,
}
