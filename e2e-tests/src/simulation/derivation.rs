//! I9 and I19: derives everything again from the batch records, and checks the invariants that the services declare, as
//! `unbundled audit` does.

use dataflow::StoreError;
use dataflow::audit::{Audit, Report};
use stage::Quiescence;

use super::checks::Stores;
use super::scene::now;
use super::violation::{Checked, ensure, stopped};

/// Checks what the services declare to hold over all their rows once nothing is in flight.
pub fn rows_hold(stores: &Stores) -> Checked {
    let Stores { exchange_rate, purchase, ledger } = stores;
    for service in unbundled::services::all(None) {
        let store = [exchange_rate, purchase, ledger].into_iter().find(|store| store.meta().service == service.name());
        let Some((store, check)) = store.zip(service.topology.invariants) else { continue };
        let checked = now(check(store, Quiescence::Reached)).map_err(|error| stopped(&error))?;
        ensure!(checked.violations.is_empty(), Rows, "{}: {:?}", service.name(), checked.violations);
    }
    Ok(())
}

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
    let services = unbundled::services::all(None);
    let streams: Vec<_> = services.iter().flat_map(|service| service.topology.streams).copied().collect();
    let mut audit = Audit::begin(&streams, all).await?;
    services.iter().for_each(|service| service.topology.audit(&mut audit));
    audit.finish().await
}
