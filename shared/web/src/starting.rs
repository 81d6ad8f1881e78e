//! A service that is being started: what it gets, what it begins with, and why it may not come to run.

use std::io;
use std::net::TcpListener;

use dataflow::{OwnerError, RuntimeError, ServiceRuntime, Store, StoreError, Transport};
use prometheus::Registry;
use telemetry::Traces;

use crate::{Readiness, Shell, watch_connections, watch_owners};

/// What a service is started with.
pub struct ServiceSetup {
    /// Its own store.
    pub store: Store,
    /// What carries what its stages say.
    pub transport: Transport,
    /// Where it listens.
    pub listener: TcpListener,
    /// How many threads answer HTTP.
    pub workers: usize,
    /// Where its spans go.
    pub traces: Traces,
}

/// What a service has before its owners and its server run.
pub struct Starting {
    /// Its owners-to-be, watched by the shell's readiness.
    pub runtime: ServiceRuntime,
    /// What it shows, whatever its business.
    pub shell: Shell,
    pub(crate) listener: TcpListener,
    pub(crate) workers: usize,
}

impl ServiceSetup {
    /// What every service begins with.
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

/// Why a service did not start. Which one it is, whoever starts it says.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An owner could not take over its partition.
    #[error(transparent)]
    Owner(Box<OwnerError>),
    /// What it is to read cannot be read.
    #[error("its data cannot be read; where they are damaged, `unbundled audit` says")]
    Store(#[from] StoreError),
    /// Its metrics cannot be registered.
    #[error("it cannot be measured")]
    Metrics(#[from] prometheus::Error),
    /// Its listener cannot be used.
    #[error("it cannot listen")]
    Listen(#[from] io::Error),
}

impl StartError {
    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            StartError::Owner(stop) => stop.is_transient() || matches!(**stop, OwnerError::Fenced(_)),
            StartError::Store(error) => matches!(error, StoreError::Unavailable(_)),
            StartError::Metrics(_) | StartError::Listen(_) => false,
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
