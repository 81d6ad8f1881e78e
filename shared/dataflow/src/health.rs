//! The health of owners.

use std::sync::Arc;

use stage::Producer;

/// Receives the health of each owner when it changes.
pub type OnHealth = Arc<dyn Fn(&Producer, Health) + Send + Sync>;

/// The health of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works normally.
    Well,
    /// It cannot commit for now and keeps retrying. Holds the reason.
    Failing(String),
    /// It waits for frames that did not arrive, and tries to read them again. Holds the list.
    Missing(String),
    /// Another owner has taken over, in this process or in another.
    Fenced,
    /// It has stopped permanently. Holds the reason.
    Stopped(String),
}
