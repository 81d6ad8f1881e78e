//! Assembles the service: the ingress stage, the owners of `post`, the server.

use std::sync::Arc;

use contracts::{CREDITS, LEDGER_COMMANDS, OUTCOMES};
use dataflow::{Results, ServiceTopology, StageDefinition, Waiters};
use stage::{Change, Partition, Producer, Stage as _};
use web::{RunningService, ServiceDefinition, ServiceSetup, StartError};

use crate::SERVICE;
use crate::audit;
use crate::http::{self, Ledger};
use crate::metrics::Metrics;
use crate::post::Post;
use crate::record_commands::RecordCommands;

/// The definition of the service.
pub fn definition() -> ServiceDefinition {
    let topology = ServiceTopology {
        name: SERVICE,
        streams: &[&LEDGER_COMMANDS, &CREDITS, &OUTCOMES],
        stages: vec![StageDefinition::ingress(|_| RecordCommands), StageDefinition::reader(Post::new)],
        invariants: Some(audit::check),
    };
    ServiceDefinition { topology, port: 8083, api: http::api, start: Arc::new(|setup| Box::pin(start(setup))) }
}

/// Starts the service.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: ServiceSetup) -> Result<RunningService, StartError> {
    let mut starting = setup.prepare(SERVICE)?;
    let store = starting.runtime.store().clone();
    let metrics = Metrics::register(&starting.shell.registry)?;
    let ingress = Producer::new(RecordCommands::NAME, Partition(0));
    let commits = starting.runtime.recent_commits().clone();
    let results = Results { waiters: Waiters::default(), commits, ingress };
    let (decided, posted, recorded) = (results.waiters.clone(), metrics.clone(), metrics.clone());
    let on_rows = Arc::new(move |changes: &[Change]| {
        posted.posted(changes);
        http::wake(&decided, changes);
    });
    starting.runtime.readers(Post::new, on_rows).await?;
    // After the claims no other instance can write these rows, and the commits of our own owners are seen.
    metrics.load(&store).await?;
    let on_recorded = Arc::new(move |changes: &[Change]| recorded.recorded(changes));
    let record_commands = starting.runtime.ingress(|| RecordCommands, on_recorded).await?;
    let ledger = Ledger { store, record_commands, results };
    RunningService::start(starting, http::api(), ledger)
}
