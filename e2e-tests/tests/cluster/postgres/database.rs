//! Databases of one test, which are dropped at its end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conformance::{Damage, Failure, StoreFactory, fixture};
use dataflow::{Meta, Postgres, Store, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use stage::Table;

/// The URL of the server, as a user who may create databases.
fn server() -> String {
    std::env::var("UNBUNDLED_TEST_POSTGRES")
        .expect("UNBUNDLED_TEST_POSTGRES is not set: `make e2e` sets it to the URL of a Postgres server")
}

/// A connection to the server, independent of any store.
pub async fn admin() -> PgConnection {
    PgConnection::connect(&server()).await.unwrap()
}

/// The databases of one test: one for each service.
pub struct Databases {
    /// The start of their names.
    pub prefix: String,
}

impl Databases {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { prefix: format!("test_{}_{count}", std::process::id()) }
    }

    fn name(&self, service: &str) -> String {
        format!("{}_{service}", self.prefix)
    }

    /// Creates the database of a service if it does not exist, and returns its URL.
    pub async fn url(&self, service: &str) -> String {
        let (name, mut admin) = (self.name(service), admin().await);
        let made = sqlx::query(&format!("CREATE DATABASE {name}")).execute(&mut admin).await;
        // 42P04: the database exists.
        let exists =
            |error: &sqlx::Error| error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("42P04"));
        assert!(made.as_ref().err().is_none_or(exists), "{made:?}");
        self.url_of(service)
    }

    /// The URL of the database of a service, whether it exists or not.
    pub fn url_of(&self, service: &str) -> String {
        let (server, name) = (server(), self.name(service));
        let (server, parameters) = server.split_once('?').unwrap_or((&server, ""));
        format!("{}/{name}?{parameters}", server.rsplit_once('/').unwrap().0)
    }

    /// A connection to the database of a service, independent of its store.
    pub async fn raw(&self, service: &str) -> PgConnection {
        PgConnection::connect(&self.url(service).await).await.unwrap()
    }

    /// Opens the store of the service `front` or `back`.
    pub async fn postgres(&self, service: &'static str) -> Postgres {
        let tables = if service == "front" { fixture::FRONT } else { fixture::BACK };
        Postgres::open(&self.url(service).await, fixture::meta(service).unwrap(), tables).await.unwrap()
    }
}

/// Polls until a session with this application name fulfills the condition `state`, which is SQL.
///
/// # Panics
/// After 10 seconds.
pub async fn wait_for_session(watcher: &mut PgConnection, session: &str, state: &str) {
    let statement = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND {state}"
    );
    let looked = async {
        loop {
            let row = sqlx::query(&statement).bind(session).fetch_one(&mut *watcher).await.unwrap();
            if row.get::<i64, _>(0) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), looked).await;
    assert!(in_time.is_ok(), "no session of {session} reached {state}");
}

/// The condition of a session that waits for a lock.
pub const BLOCKED: &str = "wait_event_type = 'Lock'";

impl Drop for Databases {
    fn drop(&mut self) {
        let prefix = self.prefix.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(drop_all(&prefix)).unwrap();
        });
        assert!(dropped.join().is_ok() || std::thread::panicking(), "the databases of a test could not be dropped");
    }
}

/// Drops all databases of a test. `DROP DATABASE` itself ends workers of autovacuum, and waits until sessions are gone.
/// `WITH (FORCE)` does not work here: the tests may not end processes of the superuser.
async fn drop_all(prefix: &str) -> sqlx::Result<()> {
    let mut admin = admin().await;
    let names = sqlx::query("SELECT datname::text FROM pg_database WHERE starts_with(datname, $1 || '_')").bind(prefix);
    for row in names.fetch_all(&mut admin).await? {
        let name: String = row.try_get(0)?;
        sqlx::query(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).execute(&mut admin).await?;
        let end =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user";
        sqlx::query(end).bind(&name).execute(&mut admin).await?;
        sqlx::query(&format!("DROP DATABASE {name}")).execute(&mut admin).await?;
    }
    Ok(())
}

impl StoreFactory for Databases {
    async fn open(&self, meta: Meta, tables: &'static [&'static Table]) -> Result<Store, StoreError> {
        Ok(Postgres::open(&self.url(meta.service).await, meta, tables).await?.into())
    }

    async fn damage(&self, service: &'static str, damage: Damage) -> Result<(), Failure> {
        let done = sqlx::query(&damage.statement()).execute(&mut self.raw(service).await).await?;
        assert_eq!(done.rows_affected(), 1);
        Ok(())
    }
}
