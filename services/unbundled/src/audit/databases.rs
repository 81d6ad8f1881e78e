//! The databases of a system on Postgres, all as they were at one moment.

use std::time::Duration;

use clap::{Arg, ArgMatches};
use dataflow::{Meta, Postgres, Store, StoreError};
use stage::PartitionCount;
use web::ServiceDefinition;

/// How often a system that is being used is looked at again, in the hope that nothing happens meanwhile.
const TRIES_MAX: usize = 10;
/// How long to wait in between.
const INTERVAL: Duration = Duration::from_millis(500);

/// The arguments that name the databases: one for each service, all of them or none.
pub fn arguments(services: &[ServiceDefinition]) -> Vec<Arg> {
    let ids: Vec<_> = services.iter().map(|service| argument(service.name())).collect();
    let argument = |service: &ServiceDefinition| {
        let (id, name) = (argument(service.name()), service.name());
        let others: Vec<_> = ids.iter().filter(|other| **other != id).cloned().collect();
        let help = format!("The database of {name}, on Postgres; with those of all other services, in place of --data");
        let variable = id.to_uppercase().replace('-', "_");
        Arg::new(id.clone())
            .long(id)
            .value_name("URL")
            .env(variable)
            .hide_env_values(true)
            .requires_all(others)
            .help(help)
    };
    services.iter().map(argument).collect()
}

/// The URLs of the databases by service, if they are given.
pub fn urls(matches: &ArgMatches, services: &[ServiceDefinition]) -> Option<Vec<(&'static str, String)>> {
    let url = |service: &ServiceDefinition| {
        Some((service.name(), matches.get_one::<String>(&argument(service.name()))?.clone()))
    };
    services.iter().map(url).collect()
}

fn argument(service: &str) -> String {
    format!("{service}-database")
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

/// All of them as they were at one moment: each in a transaction of its own, and nothing happened between the first
/// and the last.
///
/// # Errors
/// [`NotAudited`].
pub async fn at_one_moment(urls: &[(&'static str, String)]) -> Result<Vec<Store>, NotAudited> {
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

async fn open(urls: &[(&'static str, String)]) -> Result<Vec<Store>, NotAudited> {
    let mut stores = Vec::new();
    let mut all = None;
    for (service, url) in urls {
        let service = *service;
        let unusable = |source| NotAudited::Store { service, source };
        let seen = Postgres::look(url).await.map_err(unusable)?.ok_or(NotAudited::Empty(service))?;
        let wrong = || StoreError::Damaged(format!("meta.partitions is {}: 1 to 64 are possible", seen.partitions));
        let own = PartitionCount::new(seen.partitions).ok_or_else(wrong).map_err(unusable)?;
        // The first number counts for all: another one is a finding.
        let partitions = *all.get_or_insert(own);
        let store = Postgres::open_to_read(url, Meta { service, partitions }).await.map_err(unusable)?;
        stores.push(Store::from(store));
    }
    Ok(stores)
}
