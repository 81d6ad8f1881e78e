//! The responses of a process while it waits for the database, or for another instance to end.

use std::net::TcpListener;
use std::time::Duration;

use ::web::{Api, Condition, Problem, Readiness, Shell, StartError, State, serve};
use actix_web::dev::ServerHandle;
use actix_web::web;
use prometheus::Registry;

/// When clients should try again. By then they reach the active instance, or this one has become active.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A server that reports what the process waits for.
pub struct Standby {
    server: ServerHandle,
    waits_for: Condition,
}

impl Standby {
    /// Responds on this listener, in place of the service, until it is stopped.
    ///
    /// # Errors
    /// [`StartError::Listen`], [`StartError::Metrics`].
    pub fn start(service: &'static str, api: Api, listener: TcpListener) -> Result<Self, StartError> {
        let readiness = Readiness::default();
        let waits_for = readiness.require("start", "the process has just started");
        let shell = Shell::new(service, Registry::new(), readiness)?;
        let server = serve(shell, listener, 1, api.with_handler(|| web::to(not_active)), State::of(()))?;
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(service, error = &error as &dyn std::error::Error, "the server failed");
            }
        });
        Ok(Self { server: handle, waits_for })
    }

    /// Sets what `/readyz` reports from now on.
    pub fn waits_for(&self, what: &str) {
        self.waits_for.unmet(what);
    }

    /// Stops responding. Later connections wait for the next server on the listener.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn not_active() -> Result<&'static str, Problem> {
    Err(Problem::unavailable("this instance is not active: see /readyz", RETRY_AFTER))
}
