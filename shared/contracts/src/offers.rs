//! The JSON of offers.

use money::UnitPrice;
use serde::{Deserialize, Serialize};

use crate::Sku;

/// What to do when more is wanted than there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Charge at once, put it right later.
    #[default]
    Loose,
    /// Allocate first, then charge.
    Strict,
}

/// The terms of an offer: body of `PUT /offers/{sku}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct OfferTerms {
    /// The price of one piece.
    pub price: UnitPrice,
    /// How many there are; none: unlimited.
    #[serde(default)]
    pub capacity: Option<u64>,
    /// What to do when more is wanted.
    #[serde(default)]
    pub constraint: Constraint,
    /// How many percent above capacity may be sold.
    #[serde(default)]
    pub overbooking_percent: u32,
    /// Voucher for a compensated purchase, in percent of what was charged.
    #[serde(default)]
    pub voucher_percent: u32,
    /// Whether a line may name its own unit price.
    #[serde(default)]
    pub open_price: bool,
}

money::object!(OfferTerms, "the terms of an offer: an object");

/// An offer as `GET /offers/{sku}` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What is offered.
    pub sku: Sku,
    /// Its version: 1, 2, 3 …, for what is accepted from now on.
    pub version: u64,
    /// The terms.
    #[serde(flatten)]
    pub terms: OfferTerms,
    /// How many are taken.
    pub allocated: u64,
    /// How many are left; none: unlimited.
    pub available: Option<u64>,
}
