//! The data folder: one `SQLite` file per service, and a lock that one process holds.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use dataflow::{Meta, Sqlite, Store, StoreError};
use stage::{PartitionCount, Table};

/// Partitions of every stream of a new folder.
const PARTITIONS_DEFAULT: u16 = 2;

/// Every service, with the tables of its store. Producers come before their readers.
pub fn services() -> [(&'static str, Vec<&'static Table>); 3] {
    [
        (exchange_rate::SERVICE, exchange_rate::tables()),
        (purchase::SERVICE, purchase::tables()),
        (ledger::SERVICE, ledger::tables()),
    ]
}

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be made or opened.
    #[error("the data folder {path} cannot be used")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("the data folder {0} is in use by another process: stop that one, or choose another with --data")]
    InUse(PathBuf),
    /// Not a number of partitions.
    #[error("{0} partitions: 1 to 1024 are possible")]
    Partitions(u16),
    /// It was made for another number.
    #[error("{path} was made for {stored} partitions, not {wanted}: leave out --partitions, or choose another folder")]
    OtherPartitions {
        /// Which.
        path: PathBuf,
        /// For how many it was made.
        stored: u16,
        /// How many were asked for.
        wanted: u16,
    },
    /// A file in it cannot be used.
    #[error("{path} cannot be used: `unbundled audit` tells more; --data chooses another folder")]
    Store {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// A data folder that no other process uses, until this is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn take(path: &Path) -> Result<Self, DataError> {
        let folder = |source| DataError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(folder)?;
        Self::lock(path)
    }

    /// Takes a folder that is there.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn lock(path: &Path) -> Result<Self, DataError> {
        let folder = |source| DataError::Folder { path: path.to_owned(), source };
        let lock = File::options().create(true).append(true).open(path.join("lock")).map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(folder(source)),
        }
    }

    /// The file of a service.
    pub fn file(&self, service: &str) -> PathBuf {
        self.path.join(format!("{service}.sqlite"))
    }

    /// For how many partitions the folder was or is to be made.
    ///
    /// # Errors
    /// [`DataError`] when that is not what is wanted.
    pub async fn partitions(&self, wanted: Option<u16>) -> Result<PartitionCount, DataError> {
        let mut count = wanted.unwrap_or(PARTITIONS_DEFAULT);
        for (service, _) in services() {
            let path = self.file(service);
            let stored = Sqlite::partitions_of(&path).await;
            let stored = stored.map_err(|source| DataError::Store { path: path.clone(), source })?;
            match stored {
                Some(stored) if wanted.is_some_and(|wanted| wanted != stored) => {
                    return Err(DataError::OtherPartitions { path, stored, wanted: count });
                }
                Some(stored) => count = stored,
                None => {}
            }
        }
        PartitionCount::new(count).ok_or(DataError::Partitions(count))
    }

    /// Opens the stores of all services, by name.
    ///
    /// # Errors
    /// [`DataError`].
    pub async fn open(&self, partitions: PartitionCount) -> Result<BTreeMap<&'static str, Store>, DataError> {
        let mut stores = BTreeMap::new();
        for (service, tables) in services() {
            let path = self.file(service);
            let store = Sqlite::open(&path, Meta { service, partitions }, &tables).await;
            let store = store.map_err(|source| DataError::Store { path, source })?;
            stores.insert(service, Store::from(store));
        }
        Ok(stores)
    }
}
