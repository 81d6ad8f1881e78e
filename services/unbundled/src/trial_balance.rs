//! The ledger's trial balance, once it has come to rest.

use std::time::{Duration, Instant};

use contracts::{TrialBalance, TrialLine};

use crate::service::{ServiceClient, ServiceError};

/// So long something may be in transit after the last outcome.
const TRANSIT_MAX: Duration = Duration::from_secs(60);

/// A pause between two looks: short against what a purchase takes to settle under load.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until nothing is in transit in the ledger, and says what the books are then; as they are when they do not add up,
/// or do not come to rest within a minute after the last outcome.
///
/// # Errors
/// [`ServiceError`].
pub async fn at_rest(ledger: &ServiceClient) -> Result<TrialBalance, ServiceError> {
    let began = Instant::now();
    loop {
        let books: TrialBalance = ledger.get("/trial-balance").await?.unwrap_or_default();
        let adds_up = books.values().all(|line| line.difference.is_zero());
        if !adds_up || books.values().all(is_quiet) || began.elapsed() > TRANSIT_MAX {
            return Ok(books);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether nothing is in transit.
pub fn is_quiet(line: &TrialLine) -> bool {
    line.in_transit_debits.is_zero() && line.in_transit_credits.is_zero()
}
