//! The three databases of a system on Postgres, all as they were at one moment.

use std::time::Duration;

use clap::Args;
use dataflow::{Meta, Postgres, Store, StoreError};
use stage::PartitionCount;

/// How often a system that is being used is looked at again, in the hope that nothing happens meanwhile.
const TRIES_MAX: usize = 10;
/// How long to wait in between.
const INTERVAL: Duration = Duration::from_millis(500);

/// Where they are.
#[derive(Args)]
pub struct Databases {
    /// The database of exchange-rate, on Postgres; with the other two instead of a data folder.
    #[arg(long, value_name = "URL", env = "EXCHANGE_RATE_DATABASE", hide_env_values = true)]
    #[arg(requires_all = ["purchase_database", "ledger_database"])]
    exchange_rate_database: Option<String>,
    /// The database of purchase.
    #[arg(long, value_name = "URL", env = "PURCHASE_DATABASE", hide_env_values = true)]
    #[arg(requires_all = ["exchange_rate_database", "ledger_database"])]
    purchase_database: Option<String>,
    /// The database of the ledger.
    #[arg(long, value_name = "URL", env = "LEDGER_DATABASE", hide_env_values = true)]
    #[arg(requires_all = ["exchange_rate_database", "purchase_database"])]
    ledger_database: Option<String>,
}

/// Why databases could not be audited.
#[derive(Debug, thiserror::Error)]
pub enum NotAudited {
    /// It holds nothing of ours.
    #[error("the database of {0} is empty: no service has ever used it")]
    Empty(&'static str),
    /// It cannot be read, or is another service's.
    #[error("the database of {service} cannot be audited")]
    Store {
        /// Whose.
        service: &'static str,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Each is consistent, but they are not of the same moment.
    #[error("the system is being used: stop its services, or wait until nothing happens, and audit again")]
    Moving,
}

impl Databases {
    /// Their URLs by service, if they are given.
    pub fn urls(&self) -> Option<[(&'static str, &str); 3]> {
        Some([
            (exchange_rate::SERVICE, self.exchange_rate_database.as_deref()?),
            (purchase::SERVICE, self.purchase_database.as_deref()?),
            (ledger::SERVICE, self.ledger_database.as_deref()?),
        ])
    }
}

/// All three as they were at one moment: each in a transaction of its own, and nothing happened between the first
/// and the last.
///
/// # Errors
/// [`NotAudited`].
pub async fn at_one_moment(urls: &[(&'static str, &str); 3]) -> Result<Vec<Store>, NotAudited> {
    for _ in 0..TRIES_MAX {
        let (stores, later) = (open(urls).await?, open(urls).await?);
        let mut moved = false;
        for (store, later) in stores.iter().zip(&later) {
            moved |= newest(store).await? != newest(later).await?;
            later.close().await;
        }
        if !moved {
            return Ok(stores);
        }
        for store in stores {
            store.close().await;
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Err(NotAudited::Moving)
}

async fn newest(store: &Store) -> Result<impl PartialEq, NotAudited> {
    let service = store.meta().service;
    store.chain_ends().await.map_err(|source| NotAudited::Store { service, source })
}

async fn open(urls: &[(&'static str, &str); 3]) -> Result<Vec<Store>, NotAudited> {
    let mut stores = Vec::new();
    let mut all = None;
    for (service, url) in *urls {
        let unusable = |source| NotAudited::Store { service, source };
        let seen = Postgres::look(url).await.map_err(unusable)?.ok_or(NotAudited::Empty(service))?;
        let wrong = || StoreError::Damaged(format!("meta.partitions is {}: 1 to 64 are possible", seen.partitions));
        let own = PartitionCount::new(seen.partitions).ok_or_else(wrong).map_err(unusable)?;
        // The first says it for all: another number is a finding.
        let partitions = *all.get_or_insert(own);
        let store = Postgres::open_to_read(url, Meta { service, partitions }).await.map_err(unusable)?;
        stores.push(Store::from(store));
    }
    Ok(stores)
}
