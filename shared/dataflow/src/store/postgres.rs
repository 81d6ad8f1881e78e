//! A store in one Postgres database: one for each service, fsync on every commit.
//!
//! Requests, owners and publishers each share a few connections of their own, and the lease has one for itself. No
//! purpose starves another, and the number of connections does not grow with the number of partitions, because a key
//! keeps two owners apart, not a session. A connection is taken out for each use and put back only when it is certainly
//! idle. An abandoned commit therefore drops its connection with it, and the server rolls back. Both sides limit how
//! long a stopped or unreachable peer can hold anything up. A failure before COMMIT is sent means no commit; any
//! failure from there on leaves it in doubt.

mod backlog;
mod decode;
mod inventory;
mod lease;
mod open;
mod publish_positions;
mod quarantine;
mod session;
mod sql;
mod write;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgRow};
use stage::{Cell, Frame, Producer, ReadSet, Seq, StreamPartition, Table};

pub use self::lease::Leased;
pub use self::quarantine::Quarantined;

use self::open::at;
use self::session::{Purpose, Sessions, within};
use self::write::{bind_columns, write};
use super::decode::{Stored as _, frame};
use super::encode::{bind, integer};
use super::engine::load_each;
use super::failure::unavailable;
use super::sql::load;
use super::sql_database::SqlDatabase;
use super::{Commit, CommitError, Engine, LoadedRows, Meta, StoreError, StoredMeta};

/// For the requests of a service. A request that finds all connections in use gets 503 after a second. The limit is as
/// long as a client would wait.
const REQUESTS: Purpose =
    Purpose { name: "requests", connections: 8, turn: Duration::from_secs(1), limit: Duration::from_secs(5) };
/// For all owners of a service: their reads, and their writes before COMMIT. More connections would hardly commit more:
/// each keeps a processor of the server busy.
const OWNERS: Purpose = Purpose { name: "owner", connections: 16, turn: TURN_MAX, limit: Duration::from_secs(10) };
/// For the publishers of a service, and for what it remembers about its broker.
const PUBLISHING: Purpose =
    Purpose { name: "publishing", connections: 4, turn: TURN_MAX, limit: Duration::from_secs(5) };
/// For the lease. The limit is short, because the lease has to be renewed before it expires.
const LEASE: Purpose =
    Purpose { name: "lease", connections: 1, turn: Duration::from_secs(1), limit: Duration::from_secs(2) };
/// For creating the tables.
const SETTING_UP: Purpose = Purpose { name: "setting up", connections: 1, turn: OPEN_MAX, limit: OPEN_MAX };
/// For the audit of a stopped system: one snapshot, and statements over whole tables.
const AUDIT: Purpose =
    Purpose { name: "audit", connections: 1, turn: Duration::from_secs(600), limit: Duration::from_secs(600) };
/// The maximum wait of owners and publishers for their turn. Turns are given in order. Within this time each connection
/// was put back or given up at least once (after connecting, a statement and a COMMIT, each with its limit). A longer
/// wait means that the database does not answer; the batch is retried later.
const TURN_MAX: Duration = Duration::from_secs(20);
/// The limit for creating tables, with other instances that do the same.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// A COMMIT without a reply after this time is in doubt.
const COMMIT_MAX: Duration = Duration::from_secs(5);

/// A service's database.
#[derive(Clone)]
pub struct Postgres {
    meta: Meta,
    base: PgConnectOptions,
    /// The sessions that read and commit: of all requests, of all owners, or of all publishers.
    sessions: Sessions,
    owners: Sessions,
    publishing: Sessions,
    lease: Sessions,
    is_closed: Arc<AtomicBool>,
}

impl fmt::Debug for Postgres {
    /// Omits the address, which contains a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Opens the database of a service and creates its tables if they do not exist. Several instances may do so at
    /// once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not answer: try again. [`StoreError::Damaged`] when it belongs to
    /// another service, layout or number of partitions.
    pub async fn open(url: &str, meta: Meta, tables: &[&'static Table]) -> Result<Self, StoreError> {
        let base = parse(url)?;
        let store = Self::new(base.clone(), meta);
        store.make(tables).await.map_err(at(&base))?;
        Ok(store)
    }

    /// Opens an existing database for reading only. It shows one snapshot, whatever is written meanwhile. If the
    /// connection is lost, so is the snapshot. It does not check all of the content; [`inventory`] does.
    ///
    /// # Errors
    /// When the database is missing, or belongs to another service.
    ///
    /// [`inventory`]: crate::Store::inventory
    pub async fn open_to_read(url: &str, meta: Meta) -> Result<Self, StoreError> {
        let base = parse(url)?;
        let mut store = Self::new(base.clone(), meta);
        // Between two pages the audit derives rows, for an unlimited time.
        let options = store.options(AUDIT).options([("idle_in_transaction_session_timeout", "0")]);
        let snapshot = Sessions::snapshot(&options, AUDIT, &store.is_closed).await;
        store.sessions = snapshot.map_err(StoreError::from).map_err(at(&base))?;
        for others in [&mut store.owners, &mut store.publishing, &mut store.lease] {
            *others = store.sessions.clone();
        }
        let mut session = store.sessions.take().await?;
        store.check_meta(&mut session).await.map_err(at(&base))?;
        session.put_back();
        Ok(store)
    }

    /// The metadata of a database, without changing it; `None` when the database does not exist or is empty.
    ///
    /// # Errors
    /// When it does not answer, or has no metadata.
    pub async fn look(url: &str) -> Result<Option<StoredMeta>, StoreError> {
        let base = parse(url)?;
        within(SETTING_UP.limit, async { Ok(open::look(&base).await) }).await?.map_err(at(&base))
    }

    fn new(base: PgConnectOptions, meta: Meta) -> Self {
        let is_closed = Arc::default();
        let sessions = |purpose| Sessions::new(session::options(&base, meta.service, purpose), purpose, &is_closed);
        let [requests, owners, publishing] = [REQUESTS, OWNERS, PUBLISHING].map(sessions);
        // The lease is released after everything else is closed.
        let lease = Sessions::new(session::options(&base, meta.service, LEASE), LEASE, &Arc::default());
        Self { meta, base, sessions: requests, owners, publishing, lease, is_closed }
    }

    fn options(&self, purpose: Purpose) -> PgConnectOptions {
        session::options(&self.base, self.meta.service, purpose)
    }
}

impl SqlDatabase for Postgres {
    type Dialect = sqlx::Postgres;
    type Row = PgRow;

    fn for_owners(&self) -> Arc<dyn Engine> {
        Arc::new(Self { sessions: self.owners.clone(), ..self.clone() })
    }

    fn for_publishers(&self) -> Arc<dyn Engine> {
        Arc::new(Self { sessions: self.publishing.clone(), ..self.clone() })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    async fn fetch(&self, statement: &str, parameters: &[Cell]) -> Result<Vec<PgRow>, StoreError> {
        Ok(self.sessions.fetch(parameters.iter().fold(sqlx::query(statement), bind)).await?)
    }

    async fn rows(
        &self,
        table: &'static Table,
        statement: &str,
        parameters: &[Cell],
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.fetch(statement, parameters).await?.iter().map(|row| row.cells(table)).collect()
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        if self.sessions.is_snapshot() {
            return Err(CommitError::Unavailable("the database was opened for reading only".into()));
        }
        let mut session = self.sessions.take().await.map_err(unavailable)?;
        let written = within(self.sessions.limit(), async { Ok(write(&mut session, commit).await) }).await;
        written.map_err(unavailable)??;
        // From here on the result of the transaction is up to the database; without a reply it is unknown.
        let ended = within(COMMIT_MAX, sqlx::query("COMMIT").execute(&mut *session)).await;
        ended.map_err(|error| CommitError::InDoubt(Box::new(error)))?;
        session.put_back();
        Ok(())
    }

    async fn load(&self, table: &'static Table, keys: &BTreeSet<Vec<Cell>>) -> Result<Vec<Vec<Cell>>, StoreError> {
        let text = load::<sqlx::Postgres>(table);
        let keys: Vec<&[Cell]> = keys.iter().map(Vec::as_slice).collect();
        let query = bind_columns(sqlx::query(&text), table.key(), &keys);
        self.sessions.fetch(query).await?.iter().map(|row| row.cells(table)).collect()
    }

    async fn load_all(&self, keys: &ReadSet) -> Result<Vec<LoadedRows>, StoreError> {
        load_each(self, keys).await
    }

    async fn journal(
        &self,
        producer: &Producer,
        target: &StreamPartition,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Frame>, StoreError> {
        // The server adds up the lengths, so that unwanted bodies are not transferred.
        let statement = "SELECT * FROM (SELECT *, coalesce(sum(octet_length(body)) OVER \
             (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before \
             FROM journal WHERE producer = $1 AND target = $2 AND seq >= $3 ORDER BY seq LIMIT $4) f \
             WHERE before < $5 ORDER BY seq";
        let query = sqlx::query(statement).bind(producer.to_string()).bind(target.to_string()).bind(integer(from.0));
        let query = query.bind(integer(limit as u64)).bind(integer(max_bytes as u64));
        self.sessions.fetch(query).await?.iter().map(frame).collect()
    }

    async fn last_frames(&self, producer: &Producer, targets: &[&StreamPartition]) -> Result<Vec<Frame>, StoreError> {
        let statement = "SELECT f.* FROM UNNEST($2::text[]) AS w(target), LATERAL (SELECT * FROM journal \
             WHERE producer = $1 AND target = w.target ORDER BY seq DESC LIMIT 1) f";
        let targets: Vec<_> = targets.iter().map(|target| target.to_string()).collect();
        let query = sqlx::query(statement).bind(producer.to_string()).bind(targets);
        self.sessions.fetch(query).await?.iter().map(frame).collect()
    }

    async fn problems_and_tables(&self) -> Result<(Vec<String>, Vec<String>), StoreError> {
        self.report().await
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        [&self.sessions, &self.owners, &self.publishing].into_iter().for_each(Sessions::clear);
    }
}

fn parse(url: &str) -> Result<PgConnectOptions, StoreError> {
    url.parse().map_err(|error| StoreError::Damaged(format!("invalid database URL: {error}")))
}
