//! The status of the connections to the broker, for the readiness check.

use std::sync::Arc;

/// Receives the status of a connection to the broker, with its name: `Ok` when it works, otherwise the reason.
pub type OnConnection = Arc<dyn Fn(&str, Result<(), String>) + Send + Sync>;

/// A connection to or from the broker.
#[derive(Clone)]
pub struct ConnectionStatus {
    name: String,
    on_connection: OnConnection,
}

impl ConnectionStatus {
    /// A connection that does not work yet.
    pub fn new(name: String, on_connection: OnConnection) -> Self {
        let status = Self { name, on_connection };
        status.fails("no connection to the broker yet".to_owned());
        status
    }

    /// Reports that the connection works.
    pub fn works(&self) {
        (self.on_connection)(&self.name, Ok(()));
    }

    /// Reports that the connection failed and is being retried.
    pub fn fails(&self, why: String) {
        (self.on_connection)(&self.name, Err(why));
    }
}
