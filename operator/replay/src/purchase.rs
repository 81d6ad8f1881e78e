//! A purchase or a return: as it is sent, the last response about it, and both together.

use contracts::{CustomerId, Reason, ReturnStatus, Status};
use money::Money;
use serde::Deserialize;
use stage::RequestId;

use crate::outcome::ExpectedOutcome;
use crate::request_kind::RequestKind;

/// A purchase or a return to send.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What it is.
    pub kind: RequestKind,
    /// Its request id.
    pub request_id: RequestId,
    /// The customer who pays or is paid.
    pub customer: CustomerId,
    /// The expected result.
    pub expected: ExpectedOutcome,
}

/// The parts of a purchase, or of a return, that are compared. The rest, half a million lines, is not parsed.
#[derive(Clone, Debug, Deserialize)]
pub struct Response {
    /// Its status.
    pub status: Status,
    /// Why it was rejected.
    pub reason: Option<Reason>,
    /// The amount that the seller gets, or gives back.
    pub total: Option<Money>,
    /// The amount that the customer pays, or gets back.
    pub charged: Option<Money>,
}

/// The same parts of a return, as the service names them.
#[derive(Debug, Deserialize)]
pub struct ReturnResponse {
    status: ReturnStatus,
    reason: Option<Reason>,
    total: Option<Money>,
    refunded: Option<Money>,
}

impl From<ReturnResponse> for Response {
    fn from(ReturnResponse { status, reason, total, refunded }: ReturnResponse) -> Self {
        let status = match status {
            ReturnStatus::Accepted => Status::Confirmed,
            ReturnStatus::Settled => Status::Settled,
            ReturnStatus::Rejected => Status::Rejected,
        };
        Self { status, reason, total, charged: refunded }
    }
}

/// An accepted purchase or return, and the last response about it.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The request.
    pub submission: Submission,
    /// The response.
    pub response: Response,
}
