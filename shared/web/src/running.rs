//! A running service: its owners and its server.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use dataflow::ServiceRuntime;
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Api, Readiness, StartError, Starting, State, serve};

/// The longest time for stopping. Supervisors may kill a process after ten seconds, and before that the process must
/// also release its lease and export its traces.
const STOP_TIMEOUT: Duration = Duration::from_secs(7);

/// A service that runs until [`RunningService::stop`] stops it.
pub struct RunningService {
    name: &'static str,
    address: SocketAddr,
    readiness: Readiness,
    runtime: ServiceRuntime,
    server: ServerHandle,
    background_tasks: Tasks,
    tasks: Tasks,
}

/// Tasks that are aborted when the service is dropped.
#[derive(Default)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl RunningService {
    /// Starts the server of a service whose owners already run. The handlers of `api` can access `state`.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn start<T>(starting: Starting, api: Api, state: T) -> Result<Self, StartError>
    where
        T: Clone + Send + Sync + 'static,
    {
        Self::serve(starting, api, State::of(state))
    }

    fn serve(starting: Starting, api: Api, state: State) -> Result<Self, StartError> {
        let Starting { mut runtime, shell, listener, workers } = starting;
        let name = shell.name;
        let address = listener.local_addr()?;
        let readiness = shell.readiness.clone();
        let server = serve(shell, listener, workers, api, state)?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(service = name, error = &error as &dyn std::error::Error, "the HTTP server failed");
            }
        });
        let watching = actix_web::rt::spawn(runtime.watch());
        let tasks = Tasks(vec![watching, serving]);
        Ok(Self { name, address, readiness, runtime, server: handle, background_tasks: Tasks::default(), tasks })
    }

    /// Adds a background task. It is aborted before the service begins to stop.
    #[must_use]
    pub fn with_background_task(mut self, background_task: JoinHandle<()>) -> Self {
        self.background_tasks.0.push(background_task);
        self
    }

    /// The names of the stages that run.
    pub fn stages(&self) -> &[&'static str] {
        self.runtime.stages()
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The address that the service listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when another instance has taken over one of its partitions.
    pub async fn fenced(&self) {
        self.runtime.fenced().await;
    }

    /// Whether the service can handle requests.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Stops services that run in one process. It lets requests in progress finish, drains the owners, and closes the
    /// stores once no service reads from them. It gives up after 7 s; the next start resumes from the last commit.
    pub async fn stop(services: Vec<RunningService>) {
        if timeout(STOP_TIMEOUT, Self::finish(services)).await.is_err() {
            tracing::warn!("the stop took too long and was cut short: the next start resumes from the last commit");
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
