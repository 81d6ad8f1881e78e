//! The service put together: the way in, the owners of `post`, the server.

use std::sync::Arc;

use dataflow::Waiters;
use stage::{Change, Stage as _, Table};
use web::{Running, Setup, StartError};

use crate::SERVICE;
use crate::figures::Figures;
use crate::http::{self, Ledger};
use crate::instruct::Instruct;
use crate::post::Post;

/// The tables of the service's store.
pub fn tables() -> Vec<&'static Table> {
    [Instruct::TABLES, Post::TABLES].concat()
}

/// Starts the service.
///
/// # Errors
/// [`StartError`].
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let mut starting = setup.prepare(SERVICE)?;
    let store = starting.node.store().clone();
    let figures = Figures::register(&starting.shell.registry)?;
    let waiters = Waiters::default();
    let (decided, posted, taken) = (waiters.clone(), figures.clone(), figures.clone());
    let on_rows = Arc::new(move |changes: &[Change]| {
        posted.posted(changes);
        http::wake(&decided, changes);
    });
    starting.node.readers(Post::new, on_rows).await?;
    // Only now: nobody else can write these rows any more, and what our own owners write is seen.
    figures.load(&store).await?;
    let on_taken = Arc::new(move |changes: &[Change]| taken.taken(changes));
    let instruct = starting.node.way_in(|| Instruct, on_taken).await?;
    let ledger = Ledger { store, instruct, waiters };
    Running::start(starting, http::api(), ledger)
}
