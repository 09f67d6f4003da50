//! Reads the file without writing to it, whoever else has it open, and makes no files beside it.

use std::cell::OnceCell;
use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use url::Url;

use super::super::StoreError;
use super::super::sql::{Db, Done, Reading};
use super::{engine, log, schema};

/// Reads a file.
pub struct SqliteReader {
    path: PathBuf,
    /// Kept once somebody else has had the file open.
    beside: OnceCell<Connection>,
}

impl SqliteReader {
    /// Looks at a file that is there, of this very release.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let reader = Self { path: path.to_owned(), beside: OnceCell::new() };
        reader.with(|db| schema::check(db, path))?;
        Ok(reader)
    }

    fn with<T>(&self, read: impl FnOnce(&Connection) -> Done<T>) -> Done<T> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let complain = |e: rusqlite::Error| schema::complain(&self.path, &e);
        if let Some(db) = self.beside.get() {
            return read(db);
        }
        // Without a log nobody has it open. SQLite would make one, and leave it, unless the file cannot change: so it
        // is opened for one read only.
        if !log(&self.path).exists()
            && let Some(address) = unchanging(&self.path)
        {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            return read(&Connection::open_with_flags(address, flags).map_err(complain)?);
        }
        let db = Connection::open_with_flags(&self.path, flags).map_err(complain)?;
        read(self.beside.get_or_init(|| db))
    }
}

/// The address of a file that does not change while it is open.
fn unchanging(path: &Path) -> Option<String> {
    let mut address = Url::from_file_path(std::path::absolute(path).ok()?).ok()?;
    address.set_query(Some("immutable=1"));
    Some(address.into())
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
        self.with(|db| work(&engine::Statements { db, explain: &explain }))
    }
}
