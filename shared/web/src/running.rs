//! A service that runs: its owners and its server.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use dataflow::Node;
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Api, Readiness, StartError, Starting, serve};

/// Whoever stops a process may kill it after ten seconds, and a lease is to be given back and traces to be sent too.
const STOP_TIMEOUT: Duration = Duration::from_secs(7);

/// A service that runs until it is stopped.
pub struct Running {
    name: &'static str,
    address: SocketAddr,
    readiness: Readiness,
    node: Node,
    server: ServerHandle,
    errands: Tasks,
    tasks: Tasks,
}

/// Ended with the service, however it ends.
#[derive(Default)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Running {
    /// Starts the server of a service whose owners run already. The handlers of `api` find `state`.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn start<T>(starting: Starting, api: Api, state: T) -> Result<Self, StartError>
    where
        T: Clone + Send + 'static,
    {
        let Starting { mut node, shell, listener, workers } = starting;
        let name = shell.name;
        let address = listener.local_addr()?;
        let readiness = shell.readiness.clone();
        let server = serve(shell, listener, workers, api, state)?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(service = name, error = &error as &dyn std::error::Error, "the server failed");
            }
        });
        let watching = actix_web::rt::spawn(node.watch());
        let tasks = Tasks(vec![watching, serving]);
        Ok(Self { name, address, readiness, node, server: handle, errands: Tasks::default(), tasks })
    }

    /// Hands over what the service does without being asked. It ends before the service begins to stop.
    #[must_use]
    pub fn with_errand(mut self, errand: JoinHandle<()>) -> Self {
        self.errands.0.push(errand);
        self
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when another instance has taken over one of its partitions.
    pub async fn fenced(&self) {
        self.node.fenced().await;
    }

    /// Whether it can do its work.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Stops services that run in one process: answers what is being asked, finishes what was begun,
    /// and only when nobody reads any more, closes the stores. After 7 s it leaves what is left: the next start goes on
    /// from what is committed.
    pub async fn stop(services: Vec<Running>) {
        if timeout(STOP_TIMEOUT, Self::finish(services)).await.is_err() {
            tracing::warn!("not everything could be finished in time: the next start goes on from what is committed");
        }
    }

    async fn finish(mut services: Vec<Running>) {
        for service in &mut services {
            service.errands = Tasks::default();
        }
        join_all(services.iter().map(|service| service.server.stop(true))).await;
        let mut stores = Vec::new();
        for Running { name, node, tasks, .. } in services {
            stores.push(node.store().clone());
            node.drain().await;
            drop(tasks);
            tracing::info!(service = name, "stopped");
        }
        for store in stores {
            store.close().await;
        }
    }
}
