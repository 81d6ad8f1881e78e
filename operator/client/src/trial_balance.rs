//! Reads the ledger's trial balance once no leg is in transit.

use std::time::{Duration, Instant};

use contracts::{TrialBalance, TrialLine};

use crate::client::ServiceClient;
use crate::error::ServiceError;

/// The longest time that legs may stay in transit after the last outcome.
const TRANSIT_MAX: Duration = Duration::from_secs(60);

/// The pause between two requests: short compared with the time in which a purchase settles under load.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until no leg is in transit in the ledger, and returns the trial balance. It returns earlier if a difference is
/// not 0, and after a minute in any case.
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

/// Whether no leg is in transit.
pub fn is_quiet(line: &TrialLine) -> bool {
    line.in_transit_debits.is_zero() && line.in_transit_credits.is_zero()
}
