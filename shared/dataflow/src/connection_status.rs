//! How the ways to and from the broker are, for whoever asks whether the service is ready.

use std::sync::Arc;

/// Hears how a way to or from the broker is, by its name: it works, or why not.
pub type OnConnection = Arc<dyn Fn(&str, Result<(), String>) + Send + Sync>;

/// One way to or from the broker.
#[derive(Clone)]
pub(crate) struct ConnectionStatus {
    name: String,
    on_connection: OnConnection,
}

impl ConnectionStatus {
    /// It does not work yet.
    pub fn new(name: String, on_connection: OnConnection) -> Self {
        let status = Self { name, on_connection };
        status.fails("no connection to the broker yet".to_owned());
        status
    }

    /// It works.
    pub fn works(&self) {
        (self.on_connection)(&self.name, Ok(()));
    }

    /// It does not, and is tried again.
    pub fn fails(&self, why: String) {
        (self.on_connection)(&self.name, Err(why));
    }
}
