//! Stock: the claims of purchases, what was decided about each line, and what a purchase is settled by.
//!
//! A line is held or refused as a whole. What is tried when a line finds no room is its *ladder*, captured when the
//! purchase is accepted, so that each step is judged by the terms of that moment.

use chrono::{DateTime, NaiveDate, Utc};
use money::{Conversion, Money, Percent, Quantity, UnitPrice};
use serde::{Deserialize, Serialize};
use stage::RequestId;

use crate::string_enum::string_enum;
use crate::{CancellationTerms, CustomerId, LineSold, Reason, Sku};

string_enum!(
    /// What an allocation is.
    pub enum AllocationState {
        /// Its pieces are allocated.
        Held = "held",
        /// It waits for pieces.
        Queued = "queued",
        /// It was given back, or lost.
        Gone = "gone",
        /// Its line went on down its ladder and may have another allocation.
        Moved = "moved",
    }
);

/// A step of a line's ladder: a product to claim, and whether to wait in its queue if there is no room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LadderStep {
    /// The product.
    pub sku: Sku,
    /// The version of its offer.
    pub version: u64,
    /// The number of pieces that may be allocated by this version; none if its stock is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Whether the line waits in the queue if there is no room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

/// A line that claims stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedLine {
    /// The number of the line in its purchase, from 0.
    pub line: u32,
    /// The number of pieces.
    pub quantity: Quantity,
    /// How many steps of the ladder were tried before. Decisions of a later step replace those of an earlier one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    /// The remaining steps; the first one is tried now. When none is left, the line is refused.
    pub ladder: Vec<LadderStep>,
}

/// Lines of a purchase claim stock of the products of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockClaimed {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// The customer, who determines where the decisions are sent.
    pub customer: CustomerId,
    /// Whether these lines are allocated all or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Whether a line that finds no room tries the next step of its ladder. A strict purchase does so only when it
    /// loses stock that it had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descends: bool,
    /// The lines.
    pub lines: Vec<ClaimedLine>,
}

/// A purchase gives an allocation, or a place in a queue, back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockReleased {
    /// The product.
    pub sku: Sku,
    /// The number of the allocation.
    pub number: u64,
}

/// The limit of a product changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockLimited {
    /// The product.
    pub sku: Sku,
    /// The version of the offer.
    pub version: u64,
    /// The number of pieces that may be allocated; none if the stock is unlimited from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Whether stock was lost: what is allocated above the limit is taken back, the newest first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_recall: bool,
}

/// The work on a product's allocations did not fit one batch and goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockContinued {
    /// The product.
    pub sku: Sku,
}

/// What was decided about a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Decision {
    /// Its pieces are allocated.
    Held(Place),
    /// It waits for capacity.
    Queued(Place),
    /// There is no stock for it, and no further step of its ladder is tried.
    Refused,
    /// It gave its allocation or its place in the queue back, or took none because another line was refused.
    Gone,
}

/// Where a line's stock is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The product.
    pub sku: Sku,
    /// The number of the allocation: 1, 2, 3 … for each product.
    pub number: u64,
}

/// A decision about a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineDecision {
    /// The number of the line in its purchase, from 0.
    pub line: u32,
    /// The step of the ladder at which it was decided.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    /// What was decided.
    pub decision: Decision,
}

/// Decisions about lines of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinesDecided {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// The decisions.
    pub lines: Vec<LineDecision>,
}

/// The terms that a purchase is settled by, fixed when it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchasePlan {
    /// The customer.
    pub customer: CustomerId,
    /// When the purchase happened.
    pub occurred_at: DateTime<Utc>,
    /// The amount that the seller gets if all lines are kept.
    pub total: Money,
    /// The amount that the customer pays if all lines are kept.
    pub charged: Money,
    /// The conversion from `total` to `charged`.
    pub conversion: Conversion,
    /// Whether the customer is charged only once the stock is allocated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_strict: bool,
    /// Whether some of the lines are enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// All lines.
    pub lines: Vec<PlannedLine>,
}

impl PurchasePlan {
    /// The lines with their numbers, from 0.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &PlannedLine)> {
        (0..).zip(&self.lines)
    }

    /// The numbers of all lines.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        (0..).zip(0..self.lines.len()).map(|(number, _)| number)
    }

    /// The numbers of the lines that claim stock.
    pub fn limited(&self) -> impl Iterator<Item = u32> {
        self.numbered().filter(|(_, line)| line.is_limited).map(|(number, _)| number)
    }
}

/// A line of a purchase, with the terms of its offer that matter after it was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLine {
    /// What is sold, and its price.
    pub sold: LineSold,
    /// Whether the line claims stock.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_limited: bool,
    /// The voucher if the line is lost, as a percentage of the money returned.
    #[serde(default, skip_serializing_if = "Percent::is_zero")]
    pub voucher_percent: Percent,
    /// What a cancellation returns.
    #[serde(default, skip_serializing_if = "CancellationTerms::is_default")]
    pub cancellation: CancellationTerms,
    /// The day of the service, on which the terms of the cancellation depend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_date: Option<NaiveDate>,
}

impl PlannedLine {
    /// The number of pieces.
    pub fn quantity(&self) -> Quantity {
        self.sold.quantity
    }

    /// The price of one piece.
    pub fn unit_price(&self) -> UnitPrice {
        self.sold.unit_price
    }
}

/// A purchase with limited stock was priced. It is settled when all its lines are decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchasePlaced {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// The terms that it is settled by.
    pub plan: PurchasePlan,
}

/// A customer asked to cancel a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancellationRequested {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// When the customer cancelled.
    pub occurred_at: DateTime<Utc>,
    /// The terms that the purchase is settled by.
    pub plan: PurchasePlan,
}

/// Money of a purchase is returned: the reverse of a part of its payment, at the conversion of that payment. It cannot
/// be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseRefunded {
    /// The id of the purchase request.
    pub purchase: RequestId,
    /// The customer.
    pub customer: CustomerId,
    /// The amount that the customer gets back.
    pub credit: Money,
    /// The amount that the seller gives back, in the currency of the prices.
    pub of_total: Money,
    /// A voucher for the customer beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Money>,
    /// Why.
    pub reason: Reason,
}

fn is_zero(step: &u32) -> bool {
    *step == 0
}
