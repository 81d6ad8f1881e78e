//! A service that is being started: what it gets, what it begins with, and why it may not come to run.

use std::net::TcpListener;

use dataflow::{Carrier, Node, Stop, Store, StoreError};
use prometheus::Registry;
use telemetry::Traces;

use crate::{Readiness, Shell, watch_links, watch_owners};

/// What a service is started with.
pub struct Setup {
    /// Its own store.
    pub store: Store,
    /// What carries what its stages say.
    pub carrier: Carrier,
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
    pub node: Node,
    /// What it shows, whatever its business.
    pub shell: Shell,
    pub(crate) listener: TcpListener,
    pub(crate) workers: usize,
}

impl Setup {
    /// What every service begins with.
    ///
    /// # Errors
    /// [`StartError::Metrics`].
    pub fn prepare(self, service: &'static str) -> Result<Starting, StartError> {
        let Self { store, carrier, listener, workers, traces } = self;
        let unmeasured = |source| StartError::Metrics { service, source };
        let shell = Shell::new(service, Registry::new(), Readiness::default());
        let shell = shell.and_then(|shell| shell.traced(traces.clone())).map_err(unmeasured)?;
        let (on_health, on_link) = (watch_owners(&shell.readiness), watch_links(&shell.readiness));
        let node = Node::new(store, carrier, shell.registry.clone(), traces, on_health, on_link);
        let node = node.map_err(unmeasured)?;
        Ok(Starting { node, shell, listener, workers })
    }
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An owner could not take over its partition.
    #[error("{service} cannot start")]
    Owner {
        /// Which service.
        service: &'static str,
        /// Why.
        #[source]
        source: Box<dataflow::Stop>,
    },
    /// What it is to read cannot be read.
    #[error("{service} cannot start")]
    Store {
        /// Which service.
        service: &'static str,
        /// Why.
        #[source]
        source: dataflow::StoreError,
    },
    /// Its figures cannot be registered.
    #[error("{service} cannot be measured")]
    Metrics {
        /// Which service.
        service: &'static str,
        /// Why.
        #[source]
        source: prometheus::Error,
    },
    /// Its listener cannot be used.
    #[error("{service} cannot listen")]
    Listen {
        /// Which service.
        service: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether trying again later can help.
    pub fn is_passing(&self) -> bool {
        match self {
            StartError::Owner { source, .. } => source.is_passing() || matches!(**source, Stop::Fenced(_)),
            StartError::Store { source, .. } => matches!(source, StoreError::Unavailable(_)),
            StartError::Metrics { .. } | StartError::Listen { .. } => false,
        }
    }
}
