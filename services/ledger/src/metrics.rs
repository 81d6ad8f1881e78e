//! Business metrics: requests and decisions, counted since the process started, and the totals of the books.

mod totals;

use contracts::LedgerCommand;
use dataflow::{Store, StoreError};
use prometheus::{IntCounterVec, Opts, Registry};
use stage::Change;

use self::totals::Totals;
use crate::post::DecisionRow;
use crate::record_commands::{ClaimRow, TransferRow};

/// The business metrics. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    recorded: IntCounterVec,
    decisions: IntCounterVec,
    totals: Totals,
}

impl Metrics {
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Ledger commands recorded, also rejected ones, by kind; no retries.";
        let recorded = IntCounterVec::new(Opts::new("ledger_commands_recorded_total", help), &["kind"])?;
        let help = "Decided claims and transfers, by kind, status and reason.";
        let opts = Opts::new("ledger_decisions_total", help);
        let decisions = IntCounterVec::new(opts, &["kind", "status", "reason"])?;
        registry.register(Box::new(recorded.clone()))?;
        registry.register(Box::new(decisions.clone()))?;
        Ok(Self { recorded, decisions, totals: Totals::register(registry)? })
    }

    /// Reads the stored totals. Totals seen since the start are newer and stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        self.totals.load(store).await
    }

    /// Counts the changes of the ingress stage. A transfer that it rejects gets no other decision.
    pub fn recorded(&self, changes: &[Change]) {
        for _ in Change::of::<ClaimRow>(changes) {
            self.recorded.with_label_values(&[LedgerCommand::Claim.to_string()]).inc();
        }
        for transfer in Change::rows::<TransferRow>(changes) {
            self.recorded.with_label_values(&[LedgerCommand::Transfer.to_string()]).inc();
            if let Some(reason) = transfer.reason_code {
                self.decided(LedgerCommand::Transfer, Some(reason.to_string().as_str()));
            }
        }
    }

    /// Counts the decisions of the accounts' owners and updates the totals.
    pub fn posted(&self, changes: &[Change]) {
        for decision in Change::rows::<DecisionRow>(changes) {
            let reason = decision.reason_code.map(|code| code.to_string());
            self.decided(decision.kind, reason.as_deref());
        }
        self.totals.see(Change::rows(changes));
    }

    fn decided(&self, kind: LedgerCommand, reason: Option<&str>) {
        let status = match (kind, reason) {
            (_, Some(_)) => "rejected",
            (LedgerCommand::Claim, None) => "opened",
            (LedgerCommand::Transfer, None) => "posted",
        };
        self.decisions.with_label_values(&[kind.to_string().as_str(), status, reason.unwrap_or_default()]).inc();
    }
}

#[cfg(test)]
mod tests;
