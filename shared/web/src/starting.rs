//! The start of a service: its inputs, its state before it runs, and its errors.

use std::io;
use std::net::TcpListener;

use dataflow::{OwnerError, RuntimeError, ServiceRuntime, Store, StoreError, Transport};
use prometheus::Registry;
use telemetry::Traces;

use crate::{Readiness, Shell, watch_connections, watch_owners};

/// The resources that a service is started with.
pub struct ServiceSetup {
    /// The store of the service.
    pub store: Store,
    /// The transport that carries the output of its stages.
    pub transport: Transport,
    /// The socket that it listens on.
    pub listener: TcpListener,
    /// The number of HTTP worker threads.
    pub workers: usize,
    /// The recorder of its spans.
    pub traces: Traces,
}

/// A service before its owners and its server run.
pub struct Starting {
    /// The runtime that will run its owners. It reports their health to the readiness of the shell.
    pub runtime: ServiceRuntime,
    /// The HTTP shell.
    pub shell: Shell,
    pub(crate) listener: TcpListener,
    pub(crate) workers: usize,
}

impl ServiceSetup {
    /// Creates the runtime and the shell of a service.
    ///
    /// # Errors
    /// [`StartError::Metrics`].
    pub fn prepare(self, service: &'static str) -> Result<Starting, StartError> {
        let Self { store, transport, listener, workers, traces } = self;
        let shell = Shell::new(service, Registry::new(), Readiness::default())?.traced(traces.clone())?;
        let (on_health, on_connection) = (watch_owners(&shell.readiness), watch_connections(&shell.readiness));
        let runtime = ServiceRuntime::new(store, transport, shell.registry.clone(), traces, on_health, on_connection)?;
        Ok(Starting { runtime, shell, listener, workers })
    }
}

/// Why a service did not start. The caller adds the name of the service.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An owner could not take over its partition.
    #[error(transparent)]
    Owner(Box<OwnerError>),
    /// The database of the service cannot be read.
    #[error("the database cannot be read; if its data is damaged, `unbundled audit` shows where")]
    Store(#[from] StoreError),
    /// The metrics of the service cannot be registered.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The declaration of the service names other stages than its start has started.
    #[error("the service declares the stages {declared} and starts {started}")]
    Stages {
        /// The declared stages.
        declared: String,
        /// The started stages.
        started: String,
    },
    /// The listener of the service cannot be used.
    #[error("the listening socket cannot be used")]
    Listen(#[from] io::Error),
}

impl StartError {
    /// Whether a later attempt can succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            StartError::Owner(stop) => stop.is_transient() || matches!(**stop, OwnerError::Fenced(_)),
            StartError::Store(error) => matches!(error, StoreError::Unavailable(_)),
            StartError::Metrics(_) | StartError::Stages { .. } | StartError::Listen(_) => false,
        }
    }
}

impl From<RuntimeError> for StartError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Owner(stop) => StartError::Owner(stop),
            RuntimeError::Metrics(error) => StartError::Metrics(error),
        }
    }
}
