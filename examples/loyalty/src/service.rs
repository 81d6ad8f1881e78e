//! The service put together: the stage and the server.

use std::sync::Arc;

use dataflow::{ServiceTopology, StageDefinition};
use web::{RunningService, ServiceDefinition, ServiceSetup, StartError};

use crate::award::{Award, POINTS};
use crate::http::{self, Points};

/// Name of the service.
pub const SERVICE: &str = "loyalty";

/// The service.
pub fn definition() -> ServiceDefinition {
    let topology = ServiceTopology {
        name: SERVICE,
        streams: &[&POINTS],
        stages: vec![StageDefinition::reader(|_| Award)],
        invariants: None,
    };
    ServiceDefinition { topology, port: 8084, api: http::api, start: Arc::new(|setup| Box::pin(start(setup))) }
}

/// Starts the service.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: ServiceSetup) -> Result<RunningService, StartError> {
    let mut starting = setup.prepare(SERVICE)?;
    starting.runtime.readers(|_| Award, Arc::new(|_| {})).await?;
    let points = Points { store: starting.runtime.store().clone() };
    RunningService::start(starting, http::api(), points)
}
