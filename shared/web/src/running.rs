//! A service that runs: its owners and its server.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use dataflow::ServiceRuntime;
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Api, Readiness, StartError, Starting, serve};

/// Whoever stops a process may kill it after ten seconds, and a lease is to be given back and traces to be sent too.
const STOP_TIMEOUT: Duration = Duration::from_secs(7);

/// A service that runs until it is stopped.
pub struct RunningService {
    name: &'static str,
    address: SocketAddr,
    readiness: Readiness,
    runtime: ServiceRuntime,
    server: ServerHandle,
    background_tasks: Tasks,
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

impl RunningService {
    /// Starts the server of a service whose owners run already. The handlers of `api` find `state`.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn start<T>(starting: Starting, api: Api, state: T) -> Result<Self, StartError>
    where
        T: Clone + Send + 'static,
    {
        let Starting { mut runtime, shell, listener, workers } = starting;
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
        let watching = actix_web::rt::spawn(runtime.watch());
        let tasks = Tasks(vec![watching, serving]);
        Ok(Self { name, address, readiness, runtime, server: handle, background_tasks: Tasks::default(), tasks })
    }

    /// Hands over what the service does without being asked. It ends before the service begins to stop.
    #[must_use]
    pub fn with_background_task(mut self, background_task: JoinHandle<()>) -> Self {
        self.background_tasks.0.push(background_task);
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
        self.runtime.fenced().await;
    }

    /// Whether it can do its work.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Stops services that run in one process: answers what is being asked, finishes what was begun,
    /// and only when nobody reads any more, closes the stores. After 7 s it leaves what is left: the next start goes on
    /// from what is committed.
    pub async fn stop(services: Vec<RunningService>) {
        if timeout(STOP_TIMEOUT, Self::finish(services)).await.is_err() {
            tracing::warn!("not everything could be finished in time: the next start goes on from what is committed");
        }
    }

    async fn finish(mut services: Vec<RunningService>) {
        for service in &mut services {
            service.background_tasks = Tasks::default();
        }
        join_all(services.iter().map(|service| service.server.stop(true))).await;
        let mut stores = Vec::new();
        for RunningService { name, runtime, tasks, .. } in services {
            stores.push(runtime.store().clone());
            runtime.drain().await;
            drop(tasks);
            tracing::info!(service = name, "stopped");
        }
        for store in stores {
            store.close().await;
        }
    }
}
