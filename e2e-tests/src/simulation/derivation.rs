//! I9: everything derived again from the batch records, as `unbundled audit` does it.

use contracts::STREAMS;
use dataflow::StoreError;
use dataflow::audit::{Audit, Report};
use exchange_rate::record_rates::RecordRates;
use ledger::post::Post;
use ledger::record_commands::RecordCommands;
use purchase::accept::Accept;
use purchase::copy_rates::CopyRates;
use purchase::settle::Settle;

use super::checks::Stores;
use super::scene::now;
use super::violation::{Checked, ensure, stopped};

/// Derives every stage again and compares records, journals and rows byte for byte.
pub fn derive_again(stores: &Stores) -> Checked {
    let report = now(audit(stores)).map_err(|error| stopped(&error))?;
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    ensure!(findings.is_empty(), Derivation, "the audit found {findings:?}");
    ensure!(report.is_quiet(), Derivation, "the audit found frames that nobody has read");
    Ok(())
}

async fn audit(stores: &Stores) -> Result<Report, StoreError> {
    let Stores { exchange_rate, purchase, ledger } = stores;
    let all = vec![exchange_rate.clone(), purchase.clone(), ledger.clone()];
    let mut audit = Audit::begin(&STREAMS, all).await?;
    audit.ingress(exchange_rate.meta().service, |_| RecordRates);
    audit.stage(purchase.meta().service, |_| CopyRates);
    audit.ingress(purchase.meta().service, |_| Accept::default());
    audit.ingress(ledger.meta().service, |_| RecordCommands);
    audit.stage(ledger.meta().service, Post::new);
    audit.stage(purchase.meta().service, |_| Settle);
    audit.finish().await
}
