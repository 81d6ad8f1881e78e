//! The data folder: one `SQLite` file per service, and a lock that one process holds.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use dataflow::{Meta, Sqlite, Store, StoreError};
use stage::PartitionCount;
use web::ServiceDefinition;

/// The file whose lock says that the folder is in use.
const LOCK: &str = "lock";
/// Partitions of every stream of a new folder.
const PARTITIONS_DEFAULT: u16 = 2;

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
    #[error("{0} partitions: 1 to 64 are possible")]
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
    /// A file is gone while others hold data.
    #[error(
        "{0} is missing or empty while the other services have data: put it back, or choose another folder with --data"
    )]
    Lost(PathBuf),
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
    _lock: Option<File>,
}

impl DataFolder {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn take(path: &Path) -> Result<Self, DataError> {
        let folder = |source| DataError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(folder)?;
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(folder)?;
        Self::locked(path, Some(lock))
    }

    /// Takes a folder that is there, and changes nothing in it.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn take_to_read(path: &Path) -> Result<Self, DataError> {
        match File::open(path.join(LOCK)) {
            Ok(lock) => Self::locked(path, Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::locked(path, None),
            Err(source) => Err(DataError::Folder { path: path.to_owned(), source }),
        }
    }

    fn locked(path: &Path, lock: Option<File>) -> Result<Self, DataError> {
        let path = path.to_owned();
        match lock.as_ref().map_or(Ok(()), File::try_lock) {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(DataError::Folder { path, source }),
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
    pub async fn partitions(
        &self,
        wanted: Option<u16>,
        services: &[ServiceDefinition],
    ) -> Result<PartitionCount, DataError> {
        let mut count = wanted.unwrap_or(PARTITIONS_DEFAULT);
        let (mut missing, mut is_used) = (None, false);
        for service in services {
            let path = self.file(service.name());
            let seen = Sqlite::look(&path).await;
            let seen = seen.map_err(|source| DataError::Store { path: path.clone(), source })?;
            let Some(seen) = seen else {
                missing = Some(path);
                continue;
            };
            let stored = seen.partitions;
            if wanted.is_some_and(|wanted| wanted != stored) {
                return Err(DataError::OtherPartitions { path, stored, wanted: count });
            }
            count = stored;
            is_used |= seen.is_used;
        }
        // All files are made before anything is written to one of them.
        if let Some(path) = missing.filter(|_| is_used) {
            return Err(DataError::Lost(path));
        }
        PartitionCount::new(count).ok_or(DataError::Partitions(count))
    }

    /// Opens the stores of all services, by name.
    ///
    /// # Errors
    /// [`DataError`].
    pub async fn open(
        &self,
        partitions: PartitionCount,
        services: &[ServiceDefinition],
    ) -> Result<BTreeMap<&'static str, Store>, DataError> {
        let mut stores = BTreeMap::new();
        for definition in services {
            let (service, tables) = (definition.name(), definition.topology.tables());
            let path = self.file(service);
            let store = Sqlite::open(&path, Meta { service, partitions }, &tables).await;
            let store = store.map_err(|source| DataError::Store { path, source })?;
            stores.insert(service, Store::from(store));
        }
        Ok(stores)
    }
}
