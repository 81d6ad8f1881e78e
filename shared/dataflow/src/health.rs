//! The health of owners.

use std::sync::Arc;

use stage::Producer;

/// Receives the health of each owner when it changes.
pub type OnHealth = Arc<dyn Fn(&Producer, Health) + Send + Sync>;

/// How an owner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does its work.
    Well,
    /// It cannot commit just now, and goes on trying. Why.
    Failing(String),
    /// It waits for frames that did not come, and looks for them. Which.
    Missing(String),
    /// Another owner has taken over, in this process or another.
    Fenced,
    /// It has stopped for good. Why.
    Stopped(String),
}
