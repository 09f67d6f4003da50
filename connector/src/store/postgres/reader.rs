//! Reads beside whoever works with the database.

use std::fmt;

use super::super::StoreError;
use super::super::sql::{Db, Done, Reading, SqlStore};
use super::{Me, PostgresAddress, engine, link};

/// A connection that only reads.
pub struct PostgresReader(SqlStore<()>);

impl PostgresReader {
    /// Connects to a database of this very release.
    pub fn connect(address: &PostgresAddress) -> Result<Self, StoreError> {
        let me = Me::new();
        let connector = link::Connector::new(address, &me)?.patient();
        let store = SqlStore::start((), move || {
            let mut engine = engine::Server::open(connector, me, None)?;
            engine.check()?;
            Ok(engine)
        })?;
        Ok(Self(store))
    }
}

impl fmt::Debug for PostgresReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReader").finish_non_exhaustive()
    }
}

impl Reading for PostgresReader {
    fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&dyn Db) -> Done<T> + Send + 'static,
    ) -> Done<T> {
        self.0.wait(work)
    }
}
