//! Business metrics, counted since the process started.

use contracts::{ReturnStatus, Status};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use stage::{Cell, Change};

use crate::accept::{OfferRow, PurchaseRow, ReturnRow};
use crate::settle::{OutcomeRow, ReturnOutcomeRow};

/// The counters. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    recorded: IntCounter,
    offers: IntCounter,
    outcomes: IntCounterVec,
    returns_recorded: IntCounter,
    returns: IntCounterVec,
}

impl Metrics {
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let recorded =
            IntCounter::new("purchases_recorded_total", "Purchases recorded, also rejected ones; no retries.")?;
        let offers = IntCounter::new("offers_recorded_total", "Versions of offers recorded; no repetitions.")?;
        let opts = Opts::new("purchases_total", "Purchases that have their outcome, by outcome and reason.");
        let outcomes = IntCounterVec::new(opts, &["status", "reason"])?;
        let returns_recorded =
            IntCounter::new("returns_recorded_total", "Returns recorded, also rejected ones; no retries.")?;
        let opts = Opts::new("returns_total", "Returns that have their outcome, by outcome and reason.");
        let returns = IntCounterVec::new(opts, &["status", "reason"])?;
        registry.register(Box::new(recorded.clone()))?;
        registry.register(Box::new(offers.clone()))?;
        registry.register(Box::new(outcomes.clone()))?;
        registry.register(Box::new(returns_recorded.clone()))?;
        registry.register(Box::new(returns.clone()))?;
        Ok(Self { recorded, offers, outcomes, returns_recorded, returns })
    }

    /// Counts the changes of the ingress stage. A purchase or a return that it rejects has its outcome at once.
    pub fn recorded(&self, changes: &[Change]) {
        for purchase in Change::of::<PurchaseRow>(changes) {
            self.recorded.inc();
            // Reads only this column: there may be a thousand purchases with many lines each.
            if let Some(Cell::Text(reason)) = purchase.cell("reason_code") {
                self.outcome(Status::Rejected, reason);
            }
        }
        for returned in Change::of::<ReturnRow>(changes) {
            self.returns_recorded.inc();
            if let Some(Cell::Text(reason)) = returned.cell("reason_code") {
                self.returned(ReturnStatus::Rejected, reason);
            }
        }
        self.offers.inc_by(Change::of::<OfferRow>(changes).count() as u64);
    }

    /// Counts the outcomes of purchases and returns.
    pub fn settled(&self, changes: &[Change]) {
        for OutcomeRow { status, reason_code, .. } in Change::rows(changes) {
            self.outcome(status, &reason_code.map(|code| code.to_string()).unwrap_or_default());
        }
        for _ in Change::of::<ReturnOutcomeRow>(changes) {
            self.returned(ReturnStatus::Settled, "");
        }
    }

    fn returned(&self, status: ReturnStatus, reason: &str) {
        self.returns.with_label_values(&[status.to_string().as_str(), reason]).inc();
    }

    fn outcome(&self, status: Status, reason: &str) {
        self.outcomes.with_label_values(&[status.to_string().as_str(), reason]).inc();
    }
}
