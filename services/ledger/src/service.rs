//! The service put together: the owners of `post`, the server.

use std::net::TcpListener;
use std::sync::Arc;

use dataflow::{Carrier, Store};
use stage::{Stage as _, Table};
use web::{Running, StartError};

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
    let (shell, mut node) = web::prepare(SERVICE, store.clone(), carrier)?;
    let stopped = |source| StartError::Owner { service: SERVICE, source: Box::new(source) };
    node.readers(Post::new, Arc::new(|_| {})).await.map_err(stopped)?;
    Running::start(node, shell, listener, workers, move |config| http::routes(config, &store))
}
