//! The outcomes of the purchases of one request.

use contracts::{ReasonCode, Status};

/// The results of the purchases of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Paid.
    pub settled: u64,
    /// Recorded, and rejected for a business reason other than the stock.
    pub rejected: u64,
    /// Refused because the stock was gone, and never charged.
    pub sold_out: u64,
    /// Paid, and paid back because the stock was gone.
    pub compensated: u64,
    /// Recorded, and without an outcome so far.
    pub open: u64,
    /// Not recorded.
    pub failed: u64,
    /// Why the first of those was not recorded.
    pub why: Option<String>,
    /// The HTTP status of each.
    pub statuses: Vec<u16>,
}

impl Outcomes {
    /// The number of recorded purchases.
    pub fn acknowledged(&self) -> u64 {
        self.settled + self.rejected + self.sold_out + self.compensated + self.open
    }

    /// Adds a purchase by its HTTP status, and by its own status and the reason for it if it is recorded.
    pub fn add(&mut self, http_status: u16, status: Option<Status>, reason: Option<ReasonCode>) {
        self.statuses.push(http_status);
        match status {
            Some(Status::Settled) => self.settled += 1,
            Some(Status::Rejected) if reason == Some(ReasonCode::SoldOut) => self.sold_out += 1,
            Some(Status::Rejected) => self.rejected += 1,
            Some(Status::Compensated) => self.compensated += 1,
            Some(Status::Accepted | Status::Confirmed) => self.open += 1,
            None => self.failed += 1,
        }
    }
}
