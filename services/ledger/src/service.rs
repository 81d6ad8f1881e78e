//! The service put together: the owners of `post`, the server.

use std::net::TcpListener;
use std::sync::Arc;

use dataflow::{Carrier, Node, Store};
use prometheus::Registry;
use stage::{Stage as _, Table};
use web::{Readiness, Running, Shell, StartError};

use crate::http;
use crate::post::Post;

/// The service's name.
pub const SERVICE: &str = "ledger";

/// The tables of the service's store.
pub fn tables() -> Vec<&'static Table> {
    Post::TABLES.to_vec()
}

/// Starts the service.
///
/// # Errors
/// [`StartError`].
pub async fn start(
    store: Store,
    carrier: Carrier,
    listener: TcpListener,
    workers: usize,
) -> Result<Running, StartError> {
    let (registry, readiness) = (Registry::new(), Readiness::default());
    let shell = Shell::new(SERVICE, registry.clone(), readiness.clone());
    let shell = shell.map_err(|source| StartError::Metrics { service: SERVICE, source })?;
    let mut node = Node::new(store.clone(), carrier, registry, web::watch_owners(&readiness));
    let stopped = |source| StartError::Owner { service: SERVICE, source: Box::new(source) };
    node.readers(Post::new, Arc::new(|_| {})).await.map_err(stopped)?;
    Running::start(node, shell, listener, workers, move |config| http::routes(config, &store))
}
