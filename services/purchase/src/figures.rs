//! What is counted of the business, since the process started.

use contracts::Status;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use stage::{Cell, Change, Row};

use crate::accept::{OfferRow, PurchaseRow};
use crate::settle::OutcomeRow;

/// Clones count together.
#[derive(Clone)]
pub(crate) struct Figures {
    taken: IntCounter,
    offers: IntCounter,
    outcomes: IntCounterVec,
}

impl Figures {
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let taken = IntCounter::new("purchases_taken_total", "Purchases taken in, rejected ones too; no retries.")?;
        let offers = IntCounter::new("offers_taken_total", "Versions of offers taken in; no repeats.")?;
        let opts = Opts::new("purchases_total", "Purchases that have their outcome, by outcome and reason.");
        let outcomes = IntCounterVec::new(opts, &["status", "reason"])?;
        registry.register(Box::new(taken.clone()))?;
        registry.register(Box::new(offers.clone()))?;
        registry.register(Box::new(outcomes.clone()))?;
        Ok(Self { taken, offers, outcomes })
    }

    /// Counts what the way in has taken in. What it rejects itself has its outcome at once.
    pub fn taken(&self, changes: &[Change]) {
        for purchase in rows_of::<PurchaseRow>(changes) {
            self.taken.inc();
            let reason = text(purchase, "reason_code");
            if !reason.is_empty() {
                self.outcome(&Status::Rejected.to_string(), reason);
            }
        }
        self.offers.inc_by(rows_of::<OfferRow>(changes).count() as u64);
    }

    /// Counts what has become of purchases.
    pub fn settled(&self, changes: &[Change]) {
        for outcome in rows_of::<OutcomeRow>(changes) {
            self.outcome(text(outcome, "status"), text(outcome, "reason_code"));
        }
    }

    fn outcome(&self, status: &str, reason: &str) {
        self.outcomes.with_label_values(&[status, reason]).inc();
    }
}

/// What a row has in a column of text; nothing when that is empty.
fn text<'a>(row: &'a Change, column: &str) -> &'a str {
    match row.cell(column) {
        Some(Cell::Text(text)) => text,
        Some(Cell::Null | Cell::Integer(_)) | None => "",
    }
}

/// The rows of a table among what was written.
pub(crate) fn rows_of<R: Row>(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().filter(|change| change.table.name == R::TABLE.name)
}
