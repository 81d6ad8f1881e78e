//! What a process answers while it waits for the database, or for another instance to end.

use std::net::TcpListener;
use std::time::Duration;

use ::web::{Api, Condition, Problem, Readiness, Shell, StartError, serve};
use actix_web::dev::ServerHandle;
use actix_web::web;
use prometheus::Registry;

/// When to try again: the instance that is active is found meanwhile, or this one becomes it.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A server that says what is being waited for.
pub struct Standby {
    server: ServerHandle,
    waits_for: Condition,
}

impl Standby {
    /// Answers on this listener, in place of what the service serves, until it is stopped.
    ///
    /// # Errors
    /// [`StartError::Listen`], [`StartError::Metrics`].
    pub fn start(service: &'static str, api: Api, listener: TcpListener) -> Result<Self, StartError> {
        let readiness = Readiness::default();
        let waits_for = readiness.require("start", "it has just been started");
        let shell = Shell::new(service, Registry::new(), readiness)?;
        let server = serve(shell, listener, 1, api.answered_by(|| web::to(not_active)), ())?;
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(service, error = &error as &dyn std::error::Error, "the server failed");
            }
        });
        Ok(Self { server: handle, waits_for })
    }

    /// What `/readyz` says from now on.
    pub fn waits_for(&self, what: &str) {
        self.waits_for.unmet(what);
    }

    /// Stops answering. Who connects from now on waits for whoever serves the listener next.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn not_active() -> Result<&'static str, Problem> {
    Err(Problem::unavailable("this instance is not active: see /readyz", RETRY_AFTER))
}
