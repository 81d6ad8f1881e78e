//! The data folder: one `SQLite` file per service, and a lock that one process holds.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use dataflow::{Meta, Sqlite, Store, StoreError};
use stage::PartitionCount;
use web::ServiceDefinition;

/// The lock file. It is locked while the folder is in use.
const LOCK: &str = "lock";
/// The number of partitions of every stream of a new folder.
const PARTITIONS_DEFAULT: u16 = 2;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder cannot be created or opened.
    #[error("the data folder {path} cannot be used")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("the data folder {0} is in use by another process: stop it, or choose another folder with --data")]
    InUse(PathBuf),
    /// The number of partitions is not allowed.
    #[error("{0} partitions: 1 to 64 are possible")]
    Partitions(u16),
    /// The folder was created with another number of partitions.
    #[error("{path} was created with {stored} partitions, not {wanted}: omit --partitions, or choose another folder")]
    OtherPartitions {
        /// The file of a service.
        path: PathBuf,
        /// The number of partitions in the file.
        stored: u16,
        /// The requested number of partitions.
        wanted: u16,
    },
    /// A file is missing or empty while others contain data.
    #[error(
        "{0} is missing or empty while the other services have data: restore it, or choose another folder with --data"
    )]
    Lost(PathBuf),
    /// A file in the folder cannot be used.
    #[error("{path} cannot be used: run `unbundled audit` for details, or choose another folder with --data")]
    Store {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: StoreError,
    },
}

/// A data folder that no other process can use until this value is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: Option<File>,
}

impl DataFolder {
    /// Locks the folder, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn take(path: &Path) -> Result<Self, DataError> {
        let folder = |source| DataError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(folder)?;
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(folder)?;
        Self::locked(path, Some(lock))
    }

    /// Locks an existing folder, and changes nothing in it.
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

    /// The number of partitions with which the folder was or will be created.
    ///
    /// # Errors
    /// [`DataError`], also when the folder was created with another number than `wanted`.
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
        // All files are created before anything is written to any of them.
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
