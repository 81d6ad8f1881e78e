//! The time in which an instance is active: from acquiring the lease to losing or releasing it.

use std::time::Duration;

use dataflow::{Leased, Meta, Postgres, StoreError};
use stage::PartitionCount;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use web::{Condition, ServiceDefinition};

use crate::configuration::Configuration;
use crate::standby::Standby;

/// How long the lease lasts. If the active instance does not renew it in this time, another one takes over.
const LEASE: Duration = Duration::from_secs(3);
/// How often the active instance renews the lease.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// How often a waiting instance tries to acquire the lease.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// How long to wait for the database to release the lease. After that, the lease expires by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before a database that does not answer is tried again.
const DATABASE_INTERVAL: Duration = Duration::from_secs(1);
/// The default number of partitions of every stream in a new database.
const PARTITIONS_DEFAULT: u16 = 2;

/// What is known about the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lease {
    Held,
    /// The database does not answer. Owners continue: the key of the batch record keeps others out.
    Unknown(String),
    Lost,
}

/// While it exists, this instance is the active one.
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
    /// [`StoreError::Damaged`], when waiting would not help.
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
                    let why = telemetry::error_chain(&error);
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
                    let why = telemetry::error_chain(&error);
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
        // The keeper ends only after it has reported the loss.
        let _ended = self.lease.wait_for(|lease| *lease == Lease::Lost).await;
    }

    /// Reports the state of the database, until another instance has the lease.
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

    /// Releases the lease, if it is still held.
    pub async fn end(self) {
        self.keeper.abort();
        let released = timeout(RELEASE_TIMEOUT, self.database.release(&self.holder)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::debug!("the lease was not released and will expire by itself");
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Opens the database with the configured partitions, or those that it has, or the default.
async fn open(service: &ServiceDefinition, configuration: &Configuration) -> Result<Postgres, StoreError> {
    let url = configuration.database_url.as_str();
    let count = match configuration.partitions {
        Some(count) => count,
        None => {
            let stored = Postgres::look(url).await?.map_or(PARTITIONS_DEFAULT, |seen| seen.partitions);
            let wrong = || StoreError::Damaged(format!("meta.partitions is {stored}: 1 to 64 are possible"));
            PartitionCount::new(stored).ok_or_else(wrong)?
        }
    };
    Postgres::open(url, Meta { service: service.name(), partitions: count }, &service.topology.tables()).await
}

/// Renews the lease until another instance has it.
async fn keep(database: Postgres, holder: String, lease_changes: watch::Sender<Lease>) {
    loop {
        sleep(RENEW_INTERVAL).await;
        let lease = match database.renew(&holder, LEASE).await {
            Ok(true) => Lease::Held,
            Ok(false) => Lease::Lost,
            Err(error) => Lease::Unknown(telemetry::error_chain(&error)),
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
