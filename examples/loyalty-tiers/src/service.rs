//! The loyalty service with one more stage.

use std::sync::Arc;

use dataflow::StageDefinition;
use loyalty::award::Award;
use loyalty::http::Points;
use web::{RunningService, ServiceDefinition, ServiceSetup, StartError};

use crate::grant_tier::GrantTier;
use crate::http;

/// The service.
pub fn definition() -> ServiceDefinition {
    let mut service = loyalty::definition();
    service.topology.stages.push(StageDefinition::reader(|_| GrantTier));
    service.api = http::api;
    service.start = Arc::new(|setup| Box::pin(start(setup)));
    service
}

/// Starts the service.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: ServiceSetup) -> Result<RunningService, StartError> {
    let mut starting = setup.prepare(loyalty::SERVICE)?;
    starting.runtime.readers(|_| Award, Arc::new(|_| {})).await?;
    starting.runtime.readers(|_| GrantTier, Arc::new(|_| {})).await?;
    let points = Points { store: starting.runtime.store().clone() };
    RunningService::start(starting, http::api(), points)
}
