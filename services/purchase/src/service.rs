//! Assembles the service: the ingress stage, the copy of the rates, the outcomes, the server.

use std::sync::Arc;

use ::web::{RunningService, ServiceDefinition, ServiceSetup, StartError};
use chrono::Utc;
use contracts::{ALLOCATIONS, LINES, PURCHASES};
use dataflow::{Results, ServiceTopology, StageDefinition, Waiters};
use stage::{Change, Partition, Producer, Stage as _};

use crate::SERVICE;
use crate::accept::Accept;
use crate::allocate::Allocate;
use crate::audit;
use crate::copy_rates::CopyRates;
use crate::http::{self, Purchases};
use crate::metrics::Metrics;
use crate::rates_copy::RatesCopy;
use crate::settle::Settle;

/// The definition of the service.
pub fn definition() -> ServiceDefinition {
    let topology = ServiceTopology {
        name: SERVICE,
        streams: &[&PURCHASES, &ALLOCATIONS, &LINES],
        stages: vec![
            StageDefinition::reader(|_| CopyRates),
            StageDefinition::ingress(|_| Accept::default()),
            StageDefinition::reader(|_| Allocate),
            StageDefinition::reader(|_| Settle),
        ],
        invariants: Some(audit::check),
    };
    ServiceDefinition { topology, port: 8082, api: http::api, start: Arc::new(|setup| Box::pin(start(setup))) }
}

/// Starts the service. It accepts no requests until its copy of the rates is complete.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: ServiceSetup) -> Result<RunningService, StartError> {
    let mut starting = setup.prepare(SERVICE)?;
    let store = starting.runtime.store().clone();
    let metrics = Metrics::register(&starting.shell.registry)?;
    let complete = starting.shell.readiness.require("rates", "the local copy of the rates is not complete yet");
    let copy = RatesCopy::new(complete);
    copy.register(&starting.shell.registry)?;
    let copied = copy.clone();
    let on_rates = Arc::new(move |changes: &[Change]| copied.add(Change::rows(changes), Some(Utc::now())));
    starting.runtime.readers(|_| CopyRates, on_rates).await?;
    // After the claim no other instance can write to the copy, and the commits of our own owner are seen.
    copy.load(&store).await?;
    let ingress = Producer::new(Accept::NAME, Partition(0));
    let commits = starting.runtime.recent_commits().clone();
    let results = Results { waiters: Waiters::default(), commits: commits.clone(), ingress: ingress.clone() };
    let cancellations = Results { waiters: Waiters::default(), commits: commits.clone(), ingress: ingress.clone() };
    let returns = Results { waiters: Waiters::default(), commits, ingress };
    let recalls = Waiters::default();
    let trimmed = recalls.clone();
    let on_stocks = Arc::new(move |changes: &[Change]| http::wake_recalls(&trimmed, changes));
    starting.runtime.readers(|_| Allocate, on_stocks).await?;
    let (settled, cancelled, counted) = (results.waiters.clone(), cancellations.waiters.clone(), metrics.clone());
    let refunded = returns.waiters.clone();
    let on_outcomes = Arc::new(move |changes: &[Change]| {
        counted.settled(changes);
        http::wake(&settled, &cancelled, &refunded, changes);
    });
    starting.runtime.readers(|_| Settle, on_outcomes).await?;
    let on_purchases = Arc::new(move |changes: &[Change]| metrics.recorded(changes));
    let accept = starting.runtime.ingress(Accept::default, on_purchases).await?;
    let purchases = Purchases { store, accept, results, cancellations, returns, recalls, copy };
    RunningService::start(starting, http::api(), purchases)
}

#[cfg(test)]
mod tests;
