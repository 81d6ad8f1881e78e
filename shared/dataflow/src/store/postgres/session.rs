//! Connections for one purpose, so that no purpose starves another.
//!
//! A user takes a connection out and puts it back only when it is certainly idle. A use that failed, took too long or
//! was abandoned drops its connection with it, and the next use opens a new one. Everything has a limit, on the server
//! too: neither side waits forever for the other.

use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::encode;

/// A connection that was idle for longer is pinged first, because the server may have been restarted. Under load no
/// connection is idle that long, so nothing is pinged.
const PING_AFTER: Duration = Duration::from_secs(1);
/// The timeout for connecting to a reachable machine.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// The server ends a client that stopped in a transaction after this time, so that a claim of its partition need not
/// wait longer.
const IDLE_IN_TRANSACTION_MAX: &str = "2s";
/// A little longer than that, so that a claim gets the locks that a stopped client held.
const LOCK_MAX: &str = "3s";
/// Prepared statements kept per connection: enough for every statement of every table of a service.
const STATEMENTS_MAX: usize = 512;

pub(super) type Query<'q> = encode::Query<'q, sqlx::Postgres>;

/// A purpose of connections, with its limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    /// The name that the server shows.
    pub name: &'static str,
    /// The maximum number of connections.
    pub connections: usize,
    /// How long to wait for a connection when all are in use.
    pub turn: Duration,
    /// The time limit of one statement.
    pub limit: Duration,
}

/// Connections for one purpose. Clones share them.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Inner>);

struct Inner {
    /// `None` for a snapshot, which cannot be opened again when it is lost.
    options: Option<PgConnectOptions>,
    turn: Duration,
    limit: Duration,
    /// The runtime on which connections are opened and thereby driven. It must not be that of the first user: on an
    /// owner's thread they would stand still while it works, and break when it ends.
    runtime: Handle,
    permits: Arc<Semaphore>,
    /// The idle connections, each with the time since when it is idle.
    idle: Mutex<Vec<(Instant, PgConnection)>>,
    is_closed: Arc<AtomicBool>,
}

/// A connection in use.
pub(super) struct Session {
    connection: PgConnection,
    home: Sessions,
    _place: OwnedSemaphorePermit,
}

impl Sessions {
    pub(super) fn new(options: PgConnectOptions, purpose: Purpose, is_closed: &Arc<AtomicBool>) -> Self {
        Self(Arc::new(Inner {
            options: Some(options),
            turn: purpose.turn,
            limit: purpose.limit,
            runtime: Handle::current(),
            permits: Arc::new(Semaphore::new(purpose.connections)),
            idle: Mutex::default(),
            is_closed: is_closed.clone(),
        }))
    }

    /// One connection in one read-only transaction, so that everything is read from one snapshot. If the connection is
    /// lost, so is the snapshot.
    pub(super) async fn snapshot(
        options: &PgConnectOptions,
        purpose: Purpose,
        is_closed: &Arc<AtomicBool>,
    ) -> sqlx::Result<Self> {
        let mut connection = connect(options).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM pg_class; SAVEPOINT page";
        within(purpose.limit, sqlx::raw_sql(begin).execute(&mut connection)).await?;
        Ok(Self(Arc::new(Inner {
            options: None,
            turn: purpose.turn,
            limit: purpose.limit,
            runtime: Handle::current(),
            permits: Arc::new(Semaphore::new(1)),
            idle: Mutex::new(vec![(Instant::now(), connection)]),
            is_closed: is_closed.clone(),
        })))
    }

    /// Takes out an idle connection, or opens one when none is idle.
    pub(super) async fn take(&self) -> sqlx::Result<Session> {
        let place = tokio::time::timeout(self.0.turn, self.0.permits.clone().acquire_owned()).await;
        let place = place.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        if self.0.is_closed.load(Ordering::Acquire) {
            return Err(sqlx::Error::PoolClosed);
        }
        let idle = self.idle().pop();
        let connection = match (idle, &self.0.options) {
            (Some((since, connection)), Some(options)) if since.elapsed() > PING_AFTER => {
                self.ping(connection, options).await?
            }
            (Some((_, connection)), _) => connection,
            (None, Some(options)) => self.connect(options).await?,
            (None, None) => return Err(sqlx::Error::PoolClosed),
        };
        Ok(Session { connection, home: self.clone(), _place: place })
    }

    /// Returns the connection, or a new one if it was lost; then the idle ones are probably lost too. A server that
    /// does not respond gets no more time than for a statement.
    async fn ping(&self, mut connection: PgConnection, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
        match within(self.limit(), connection.ping()).await {
            Ok(()) => Ok(connection),
            Err(sqlx::Error::Io(error)) if error.kind() == ErrorKind::TimedOut => Err(sqlx::Error::Io(error)),
            Err(_) => {
                self.clear();
                self.connect(options).await
            }
        }
    }

    async fn connect(&self, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
        let options = options.clone();
        let transport = self.0.runtime.spawn(async move { connect(&options).await }).await;
        transport.map_err(|ended| sqlx::Error::Io(std::io::Error::other(ended)))?
    }

    /// Returns all rows of a statement.
    pub(super) async fn fetch(&self, query: Query<'_>) -> sqlx::Result<Vec<PgRow>> {
        let mut session = self.take().await?;
        match within(self.limit(), query.fetch_all(&mut *session)).await {
            Ok(rows) => {
                session.put_back();
                Ok(rows)
            }
            Err(error) => {
                session.give_up(&error).await;
                Err(error)
            }
        }
    }

    /// Returns the only row of a statement.
    pub(super) async fn fetch_one(&self, query: Query<'_>) -> sqlx::Result<PgRow> {
        self.fetch(query).await?.into_iter().next().ok_or(sqlx::Error::RowNotFound)
    }

    /// Whether this is a read-only snapshot.
    pub(super) fn is_snapshot(&self) -> bool {
        self.0.options.is_none()
    }

    /// The time limit of one statement.
    pub(super) fn limit(&self) -> Duration {
        self.0.limit
    }

    /// Closes idle connections; the others are closed after their use.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, PgConnection)>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Returns an idle connection for the next use.
    pub(super) fn put_back(self) {
        if !self.home.0.is_closed.load(Ordering::Acquire) {
            self.home.idle().push((Instant::now(), self.connection));
        }
    }

    /// Drops the connection after an error, except that a snapshot is kept if possible. If the connection itself was
    /// lost, the idle ones are probably lost too and are closed.
    async fn give_up(mut self, error: &sqlx::Error) {
        let refused = error.as_database_error().filter(|error| !error.code().is_some_and(|c| c.starts_with("57P")));
        if refused.is_none() {
            self.home.clear();
        } else if self.home.is_snapshot() {
            let back = sqlx::query("ROLLBACK TO SAVEPOINT page").execute(&mut self.connection);
            if within(self.home.limit(), back).await.is_ok() {
                self.put_back();
            }
        }
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// The settings of every connection of a service.
pub(super) fn options(base: &PgConnectOptions, service: &str, purpose: Purpose) -> PgConnectOptions {
    let limit = format!("{}ms", purpose.limit.as_millis());
    let settings = [
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MAX),
        ("lock_timeout", LOCK_MAX),
        ("statement_timeout", limit.as_str()),
        // Detects a client that vanished.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        // Everything is found by its primary key. Without these settings, a plan made while a table was small would
        // keep scanning the table when it is large.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        // A disabled plan node counts as very expensive, which would trigger JIT compilation.
        ("jit", "off"),
    ];
    base.clone()
        .application_name(&format!("{service}: {}", purpose.name))
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging()
        .options(settings)
}

/// Opens a connection within the time limit.
pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    within(CONNECT_MAX, PgConnection::connect_with(options)).await
}

/// The result of the work, or an error when it takes longer than the limit.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            let what = format!("no answer within {limit:?}");
            Err(sqlx::Error::Io(std::io::Error::new(ErrorKind::TimedOut, what)))
        }
    }
}
