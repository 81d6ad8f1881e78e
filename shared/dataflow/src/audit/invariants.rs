//! What must hold over all rows of a service. Each service declares its own check; the audit runs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use stage::{Quiescence, Violation};

use super::side_by_side::{Job, side_by_side};
use super::{Finding, Report, Services};
use crate::{Store, StoreError};

/// Checks the rows of a service.
pub type CheckInvariants = for<'a> fn(&'a Store, Quiescence) -> InvariantsFuture<'a>;
/// A check in progress.
pub type InvariantsFuture<'a> = LocalBoxFuture<'a, Result<Invariants, StoreError>>;

/// The result of a check.
#[derive(Debug, Default)]
pub struct Invariants {
    /// How many rows were checked, by the plural noun that the report prints: `entries`.
    pub counts: Vec<(&'static str, u64)>,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

/// Runs the checks of all services whose rows are as derived. A wrong row would only be found a second time.
///
/// # Errors
/// [`StoreError`] if a store does not reply; damage is a finding.
pub(super) async fn check(
    checks: Vec<(&'static str, CheckInvariants)>,
    services: &Arc<Services>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let is_settled = report.is_quiet() && report.findings.is_empty();
    let quiescence = if is_settled { Quiescence::Reached } else { Quiescence::Pending };
    let is_wrong = |service| report.findings.iter().any(|finding| finding.service == service);
    let mut jobs = BTreeMap::<_, Vec<Job<_>>>::new();
    for (name, check) in checks.into_iter().filter(|(name, _)| !is_wrong(*name)) {
        let services = services.clone();
        let job = async move || match services.get(name) {
            Some(service) => check(&service.store, quiescence).await,
            None => Ok(Invariants::default()),
        };
        jobs.entry(name).or_default().push(Box::new(move || Box::pin(async move { job().await })));
    }
    for (service, results) in side_by_side(jobs).await {
        for result in results {
            let Invariants { counts, violations } = match result {
                Err(StoreError::Damaged(what)) => {
                    report.find(Finding { service, place: "rows".to_owned(), what });
                    continue;
                }
                result => result?,
            };
            counts.into_iter().for_each(|(rows, count)| *report.counts.entry(rows).or_default() += count);
            for Violation { place, what } in violations {
                report.find(Finding { service, place, what });
            }
        }
    }
    Ok(())
}
