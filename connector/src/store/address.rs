//! Where a store is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::error;

use super::postgres::{PostgresAddress, PostgresReader, PostgresStore};
use super::sqlite::{FILE, SqliteReader, SqliteStore, size};
use super::{Store, StoreError, StoreReader};

/// A file that one process has for itself, or a database that several share. `Display` shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// An SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PostgresAddress>),
}

impl StoreAddress {
    /// The file of a state directory.
    pub fn in_directory(state_dir: &Path) -> Self {
        Self::File(state_dir.join(FILE))
    }

    /// Opens it; a file is made if there is none.
    pub fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::File(path) => Arc::new(SqliteStore::open(path)?),
            Self::Postgres(address) => Arc::new(PostgresStore::connect(address)?),
        })
    }

    /// Opens it for a process that stays: a database that cannot be reached now is so later, and what is asked of it
    /// meanwhile fails.
    pub fn open_to_stay(&self) -> Result<Arc<dyn Store>, StoreError> {
        match (self, self.open()) {
            (Self::Postgres(address), Err(e @ StoreError::Unreachable { .. })) => {
                error!("{e}");
                Ok(Arc::new(PostgresStore::connect_later(address)?))
            }
            (_, opened) => opened,
        }
    }

    /// Opens it; `None` if it is a file that is not there.
    pub fn open_existing(&self) -> Result<Option<Arc<dyn Store>>, StoreError> {
        match self {
            Self::File(path) if !path.exists() => Ok(None),
            _ => self.open().map(Some),
        }
    }

    /// Reads it, whoever works with it; `None` if it is a file that is not there.
    pub fn reader(&self) -> Result<Option<Box<dyn StoreReader>>, StoreError> {
        Ok(match self {
            Self::File(path) if !path.exists() => None,
            Self::File(path) => Some(Box::new(SqliteReader::open(path)?)),
            Self::Postgres(address) => Some(Box::new(PostgresReader::connect(address)?)),
        })
    }

    /// The state directory that it is in, if it is.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::File(path) => path.parent(),
            Self::Postgres(_) => None,
        }
    }

    /// Bytes that it takes in the state directory, if it is there.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::File(path) => Some(size(path)),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}
