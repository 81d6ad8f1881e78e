//! `accept`: the ingress stage. It prices each purchase with local data and asks no other service.
//!
//! A request is priced with fixed versions of each offer and of the local copy of the rates. They are captured into
//! the request before it is priced, so that pricing it again, at any time, gives the same result.

mod cancel;
mod capture;
mod limited;
mod offer;
mod price;
mod returns;
mod rows;

use chrono::{DateTime, Utc};
use contracts::{Fact, OfferTerms, PurchaseRequest, RateRow, ReturnRequest, Sku};
use money::{RateBook, RateVersion};
use serde::{Deserialize, Serialize};
use stage::{
    Cell, Event, IngressStage, Outputs, Partitioning, ReadSet, Row as _, Stage, StageError, Table, WorkingSet,
};
use std::collections::BTreeMap;

pub use self::rows::{CancellationRow, OfferHeadRow, OfferRow, PurchaseRow, RecallRow, ReturnRow};

stage::payload! {
    /// A request to the service.
    pub enum AcceptInput {
        /// Buys.
        SubmitPurchase(SubmitPurchase),
        /// Sets an offer.
        SetOffer(SetOffer),
        /// Takes lost pieces out of an offer.
        RecallStock(RecallStock),
        /// Cancels a purchase.
        CancelPurchase(CancelPurchase),
        /// Brings goods back.
        SubmitReturn(SubmitReturn),
    }
}

/// A purchase request as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitPurchase {
    /// The content of the client's request.
    pub request: PurchaseRequest,
    /// The versions it is priced with; none until they are captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<CapturedVersions>,
}

/// A return request as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitReturn {
    /// The content of the client's request.
    pub request: ReturnRequest,
    /// The versions it is priced with; none until they are captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<CapturedVersions>,
}

/// What a purchase is priced and judged with, or a return is priced with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedVersions {
    /// The version of the local copy of the rates.
    pub rates: RateVersion,
    /// The version of each line's offer; 0 if there was none.
    pub offers: Vec<u64>,
    /// The versions of the offers that a line may be upgraded to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upgrades: BTreeMap<Sku, u64>,
    /// The allocated pieces that could be seen of products whose lines are only refunded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allocated: BTreeMap<Sku, u64>,
}

/// A request to set an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetOffer {
    /// The product.
    pub sku: Sku,
    /// The terms of the offer.
    pub terms: OfferTerms,
}

/// A request to take lost pieces out of an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallStock {
    /// The product.
    pub sku: Sku,
    /// The number of lost pieces.
    pub quantity: u64,
}

/// A request to cancel the purchase whose request id it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelPurchase {
    /// When the customer cancelled; none for when the request arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<DateTime<Utc>>,
}

/// A reply of the ingress stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The purchase, new or as it is stored.
    Purchase(Box<PurchaseRow>),
    /// The id belongs to another request.
    Conflict,
    /// The current version of the offer.
    Offer(OfferRow),
    /// Nobody offers the product that this step of the ladder upgrades to.
    UnknownUpgrade(usize),
    /// The recall, new or as it is stored.
    Recall(RecallRow),
    /// Nobody offers the product of the recall.
    UnknownOffer,
    /// The offer has fewer pieces than the recall; none if they are unlimited.
    RecallAboveCapacity(Option<u64>),
    /// The cancellation, new or as it is stored, and its purchase.
    Cancellation(Box<PurchaseRow>, CancellationRow),
    /// There is no purchase to cancel.
    UnknownPurchase,
    /// The return, new or as it is stored.
    Return(Box<ReturnRow>),
}

/// Accepts purchases, cancellations, returns and offers.
#[derive(Default)]
pub struct Accept {
    rates: RateBook,
}

impl Stage for Accept {
    type Input = AcceptInput;
    type Output = Fact;
    const NAME: &'static str = "accept";
    const PARTITIONING: Partitioning = Partitioning::Unkeyed;
    const TABLES: &'static [&'static Table] = &[
        PurchaseRow::TABLE,
        OfferHeadRow::TABLE,
        OfferRow::TABLE,
        RecallRow::TABLE,
        CancellationRow::TABLE,
        ReturnRow::TABLE,
    ];

    fn read_set(&self, event: &Event<AcceptInput>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        let request_id = &event.cause.request_id;
        match &event.fact {
            AcceptInput::SetOffer(request) => {
                offer::upgrade_reads(&request.terms, rows, reads)?;
                offer::reads(&request.sku, rows, reads)
            }
            AcceptInput::RecallStock(request) => {
                reads.row::<RecallRow>(&(request_id.clone(),));
                offer::reads_with_upgrades(&request.sku, rows, reads)
            }
            AcceptInput::CancelPurchase(_) => cancel::reads(request_id, rows, reads),
            AcceptInput::SubmitPurchase(submission) => {
                reads.row::<PurchaseRow>(&(request_id.clone(),));
                match &submission.captured {
                    None => capture::reads(&submission.request, rows, reads),
                    Some(captured) => {
                        captured.rows(&submission.request.lines).for_each(|key| reads.row::<OfferRow>(&key));
                        Ok(())
                    }
                }
            }
            AcceptInput::SubmitReturn(submission) => returns::reads(request_id, submission, rows, reads),
        }
    }

    fn apply(
        &self,
        event: &Event<AcceptInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        self.submit(event, rows, out).map(drop)
    }
}

impl IngressStage for Accept {
    type Reply = Reply;
    const SIDE_INPUT: Option<&'static Table> = Some(RateRow::TABLE);

    fn capture(&self, event: &mut Event<AcceptInput>, rows: &WorkingSet) -> Result<(), StageError> {
        let rates = self.rates.newest_version();
        match &mut event.fact {
            AcceptInput::SubmitPurchase(submission) => {
                submission.captured = Some(CapturedVersions::of(&submission.request, rates, rows)?);
            }
            AcceptInput::SubmitReturn(submission) => {
                submission.captured = Some(CapturedVersions::of_lines(&submission.request.lines, rates, rows)?);
            }
            AcceptInput::SetOffer(_) | AcceptInput::RecallStock(_) | AcceptInput::CancelPurchase(_) => {}
        }
        Ok(())
    }

    fn submit(
        &self,
        event: &Event<AcceptInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<Reply, StageError> {
        match &event.fact {
            AcceptInput::SetOffer(request) => offer::set(request, rows, out),
            AcceptInput::RecallStock(request) => offer::recall(request, &event.cause.request_id, rows, out),
            AcceptInput::CancelPurchase(request) => cancel::cancel(request, &event.cause, rows, out),
            AcceptInput::SubmitPurchase(submission) => self.purchase(event, submission, rows, out),
            AcceptInput::SubmitReturn(submission) => self.take_back(event, submission, rows, out),
        }
    }

    fn on_side_input(&mut self, row: &[Cell]) -> Result<(), StageError> {
        let row = RateRow::from_cells(row)?;
        self.rates.insert(row.version(), row.valid_from, &row.source, &row.rates);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
