//! A purchase: as it is sent, the last response about it, and both together.

use contracts::{CustomerId, Reason, Status};
use money::Money;
use serde::Deserialize;
use stage::RequestId;

use crate::outcome::ExpectedOutcome;

/// A purchase to send.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its request id.
    pub request_id: RequestId,
    /// The customer who pays.
    pub customer: CustomerId,
    /// The expected result.
    pub expected: ExpectedOutcome,
}

/// The parts of a purchase that are compared. The rest, half a million lines, is not parsed.
#[derive(Clone, Debug, Deserialize)]
pub struct PurchaseResponse {
    /// Its status.
    pub status: Status,
    /// Why it was rejected.
    pub reason: Option<Reason>,
    /// The amount that the seller gets.
    pub total: Option<Money>,
    /// The amount that the customer pays.
    pub charged: Option<Money>,
}

/// An accepted purchase, and the last response about it.
#[derive(Clone, Debug)]
pub struct AcceptedPurchase {
    /// The request.
    pub submission: Submission,
    /// The response.
    pub response: PurchaseResponse,
}
