//! Reads the file without writing to it, whoever else has it open.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use super::super::sql::{Db, Done, Reading};
use super::{engine, schema};

/// A connection that only reads.
pub struct SqliteReader {
    db: Connection,
    path: PathBuf,
}

impl SqliteReader {
    /// Opens a file that is there, of this very release.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db =
            Connection::open_with_flags(path, flags).map_err(|e| schema::complain(path, &e))?;
        schema::check(&db, path)?;
        Ok(Self { db, path: path.to_owned() })
    }
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Reading for SqliteReader {
    fn read<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&dyn Db) -> Done<T> + Send + 'static,
    ) -> Done<T> {
        let explain = |e: &rusqlite::Error| schema::complain(&self.path, e);
        work(&engine::Statements { db: &self.db, explain: &explain })
    }
}
