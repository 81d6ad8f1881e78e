//! The time in which an instance is the active one: from taking the lease to losing it or giving it back.

use std::time::Duration;

use dataflow::{Leased, Meta, Postgres, StoreError};
use stage::PartitionCount;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use web::{Condition, ServiceDefinition};

use crate::configuration::Configuration;
use crate::standby::Standby;

/// Without a word from the active instance for so long, another one takes over.
const LEASE: Duration = Duration::from_secs(3);
/// How often the active instance says that it is there.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// How often one that waits asks.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// A database that does not take the lease back in this time has it run out.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a database that does not answer is asked again.
const DATABASE_INTERVAL: Duration = Duration::from_secs(1);
/// Partitions of every stream of a new database.
const PARTITIONS_DEFAULT: u16 = 2;

/// What is known of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lease {
    Held,
    /// The database does not say. Owners go on: it is the record's key that keeps others out.
    Unknown(String),
    Lost,
}

/// While it lasts, this instance is the active one.
pub struct Leadership {
    /// The service's database.
    pub database: Postgres,
    holder: String,
    lease: watch::Receiver<Lease>,
    keeper: JoinHandle<()>,
}

impl Leadership {
    /// Waits until the database answers and no other instance is active.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: waiting would not help.
    pub async fn wait(
        service: &ServiceDefinition,
        configuration: &Configuration,
        standby: &Standby,
    ) -> Result<Self, StoreError> {
        let database = loop {
            match open(service, configuration).await {
                Ok(database) => break database,
                Err(error @ StoreError::Damaged(_)) => return Err(error),
                Err(error) => {
                    let why = telemetry::chain(&error);
                    tracing::warn!(why, "waiting for the database");
                    standby.waits_for(&format!("the database: {why}"));
                    sleep(DATABASE_INTERVAL).await;
                }
            }
        };
        let holder = uuid::Uuid::new_v4().to_string();
        let mut other = None;
        loop {
            match database.lease(&holder, LEASE).await {
                Ok(Leased::Mine) => break,
                Ok(Leased::Others { holder }) => {
                    standby.waits_for("another instance of this service is active");
                    if other.replace(holder.clone()).as_ref() != Some(&holder) {
                        tracing::info!(active = holder, "another instance is active: waiting");
                    }
                    sleep(ASK_INTERVAL).await;
                }
                Err(error) => {
                    let why = telemetry::chain(&error);
                    tracing::warn!(why, "waiting for the lease");
                    standby.waits_for(&format!("the database: {why}"));
                    sleep(DATABASE_INTERVAL).await;
                }
            }
        }
        tracing::info!(holder, "this instance is active");
        let (lease_changes, lease) = watch::channel(Lease::Held);
        let keeper = actix_web::rt::spawn(keep(database.clone(), holder.clone(), lease_changes));
        Ok(Self { database, holder, lease, keeper })
    }

    /// Returns when another instance has the lease.
    pub async fn lost(&mut self) {
        // The keeper ends only after it said so.
        let _ended = self.lease.wait_for(|lease| *lease == Lease::Lost).await;
    }

    /// Says how the database is, until another instance has the lease.
    pub async fn watch(&mut self, condition: &Condition) {
        loop {
            match self.lease.borrow_and_update().clone() {
                Lease::Held => condition.met(),
                Lease::Unknown(why) => condition.unmet(why),
                Lease::Lost => return,
            }
            if self.lease.changed().await.is_err() {
                return;
            }
        }
    }

    /// Gives the lease back, if it is still held.
    pub async fn end(self) {
        self.keeper.abort();
        let released = timeout(RELEASE_TIMEOUT, self.database.release(&self.holder)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::debug!("the lease was not given back: it runs out by itself");
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// The database, with the partitions asked for, or those that it has, or the default.
async fn open(service: &ServiceDefinition, configuration: &Configuration) -> Result<Postgres, StoreError> {
    let url = configuration.database_url.as_str();
    let count = match configuration.partitions {
        Some(count) => count,
        None => {
            let stored = Postgres::look(url).await?.map_or(PARTITIONS_DEFAULT, |seen| seen.partitions);
            let wrong = || StoreError::Damaged(format!("it says that it was made for {stored} partitions"));
            PartitionCount::new(stored).ok_or_else(wrong)?
        }
    };
    Postgres::open(url, Meta { service: service.name(), partitions: count }, &service.topology.tables()).await
}

/// Renews the lease until it is another one's.
async fn keep(database: Postgres, holder: String, lease_changes: watch::Sender<Lease>) {
    loop {
        sleep(RENEW_INTERVAL).await;
        let lease = match database.renew(&holder, LEASE).await {
            Ok(true) => Lease::Held,
            Ok(false) => Lease::Lost,
            Err(error) => Lease::Unknown(telemetry::chain(&error)),
        };
        let is_lost = lease == Lease::Lost;
        lease_changes.send_if_modified(|known| {
            let is_new = *known != lease;
            *known = lease;
            is_new
        });
        if is_lost {
            tracing::warn!(holder, "another instance is active");
            return;
        }
    }
}
