//! Assembles the service: the ingress stage, the server, and the import of the built-in history on the first start.

use std::sync::Arc;

use ::web::{RunningService, ServiceDefinition, ServiceSetup, StartError};
use contracts::RATES;
use dataflow::{ServiceTopology, StageDefinition};
use stage::Change;

use crate::SERVICE;
use crate::feed::{self, Feed};
use crate::http::{self, Rates};
use crate::import::keep_up;
use crate::metrics::Metrics;
use crate::record_rates::{NewestRow, RecordRates};

/// The definition of the service, with a feed or without.
pub fn definition(feed: Option<Feed>) -> ServiceDefinition {
    let topology = ServiceTopology {
        name: SERVICE,
        streams: &[&RATES],
        stages: vec![StageDefinition::ingress(|_| RecordRates)],
        invariants: None,
    };
    ServiceDefinition {
        topology,
        port: 8081,
        api: http::api,
        start: Arc::new(move |setup| Box::pin(start(setup, feed.clone()))),
    }
}

/// Starts the service. It imports the built-in history if the stored history is not complete yet, and then polls the
/// feed, if there is one.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: ServiceSetup, feed: Option<Feed>) -> Result<RunningService, StartError> {
    let mut starting = setup.prepare(SERVICE)?;
    let store = starting.runtime.store().clone();
    let history = starting.shell.readiness.require("history", "the history of rates is being imported");
    let metrics = Metrics::register(&starting.shell.registry)?;
    let on_rows = Arc::new(move |changes: &[Change]| metrics.recorded(changes));
    let ingress = starting.runtime.ingress(|| RecordRates, on_rows).await?;
    let newest = store.get::<NewestRow>(&NewestRow::key()).await?;
    if newest.is_some_and(|newest| newest.complete) {
        history.met();
    }
    let figures_of_feed = feed.as_ref().map(|_| feed::Metrics::register(&starting.shell.registry)).transpose()?;
    let rates = Rates::new(store, ingress.clone());
    let running = RunningService::start(starting, http::api(), rates)?;
    Ok(running.with_background_task(actix::spawn(keep_up(ingress, history, feed.zip(figures_of_feed)))))
}
