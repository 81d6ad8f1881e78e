//! A service, declared once: whatever starts, audits or lists services walks these declarations.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use dataflow::ServiceTopology;
use futures_util::future::LocalBoxFuture;

use crate::{Api, RunningService, ServiceSetup, StartError};

/// Starts a service.
pub type Start = Arc<dyn Fn(ServiceSetup) -> LocalBoxFuture<'static, Result<RunningService, StartError>>>;

/// A service of a system.
#[derive(Clone)]
pub struct ServiceDefinition {
    /// Its name, streams and stages.
    pub topology: ServiceTopology,
    /// The port it listens on by default.
    pub port: u16,
    /// The HTTP API it serves.
    pub api: fn() -> Api,
    /// Starts it. Call [`ServiceDefinition::start`] instead, which also checks that nothing is missing.
    pub start: Start,
}

impl ServiceDefinition {
    /// Starts the service, and checks that every declared stage runs.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(&self, setup: ServiceSetup) -> Result<RunningService, StartError> {
        let running = (self.start)(setup).await?;
        let declared: BTreeSet<_> = self.topology.stages.iter().map(|stage| stage.name).collect();
        let started: BTreeSet<_> = running.stages().iter().copied().collect();
        if declared == started {
            return Ok(running);
        }
        let (declared, started) = (Vec::from_iter(declared), Vec::from_iter(started));
        Err(StartError::Stages { declared: declared.join(", "), started: started.join(", ") })
    }

    /// Its name: `ledger`.
    pub fn name(&self) -> &'static str {
        self.topology.name
    }
}

impl fmt::Debug for ServiceDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDefinition").field("name", &self.name()).finish_non_exhaustive()
    }
}
