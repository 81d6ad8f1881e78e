//! Connections that read. One is taken out for each use and put back only when its statement is over; an abandoned use
//! drops its connection with it.
//!
//! The pool of the library asks each connection before and after each use whether it is alive. Each of these is a round
//! trip to the connection's thread, and a file is always there: without them, a read costs a third.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{Connection as _, Sqlite, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::encode::Query;

/// Connections for one purpose. Clones share them.
#[derive(Clone)]
pub(super) struct Readers(Arc<Inner>);

struct Inner {
    options: SqliteConnectOptions,
    /// How long to wait for a connection when all are in use.
    turn: Duration,
    connections: u32,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<SqliteConnection>>,
}

/// A connection in use.
pub(super) struct Reader {
    connection: SqliteConnection,
    home: Readers,
    _place: OwnedSemaphorePermit,
}

impl Readers {
    /// At most so many connections, opened when they are needed.
    pub(super) fn new(options: SqliteConnectOptions, connections: u32, turn: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(connections).unwrap_or(1)));
        Self(Arc::new(Inner { options, turn, connections, permits, idle: Mutex::default() }))
    }

    /// Takes out an idle connection, or opens one when none is idle.
    pub(super) async fn take(&self) -> sqlx::Result<Reader> {
        let place = tokio::time::timeout(self.0.turn, self.0.permits.clone().acquire_owned()).await;
        let place = place.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.0.options).await?,
        };
        Ok(Reader { connection, home: self.clone(), _place: place })
    }

    /// Returns all rows of a statement.
    pub(super) async fn fetch_all(&self, query: Query<'_, Sqlite>) -> sqlx::Result<Vec<SqliteRow>> {
        let mut reader = self.take().await?;
        let rows = query.fetch_all(&mut *reader).await?;
        reader.put_back();
        Ok(rows)
    }

    /// Closes all connections, once those in use are put back.
    pub(super) async fn close(&self) {
        let _all = self.0.permits.acquire_many(self.0.connections).await;
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            if let Err(error) = connection.close().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a connection was not closed cleanly");
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("connections", &self.0.connections).finish_non_exhaustive()
    }
}

impl Reader {
    /// Returns the connection for the next use.
    pub(super) fn put_back(self) {
        self.home.idle().push(self.connection);
    }
}

impl Deref for Reader {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
