//! The store in a PostgreSQL database, which several processes share.
//!
//! One thread writes, on one connection, in the order of the calls; another listens for what other processes
//! tell. A link that breaks is made anew by itself: what was under way is done again, unless it was being
//! committed, and then the server is asked what became of it.

mod address;
mod engine;
mod link;
mod listener;
mod reader;
mod replicas;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub use self::address::{AddressError, PostgresAddress};
use self::listener::Listener;
pub use self::reader::PostgresReader;
use super::StoreError;
use super::replicas::{Bucket, ReplicaId};
use super::sql::SqlStore;
use crate::credential::ClientId;

/// An open database. Dropping it waits until everything queued is durable, or has failed.
pub type PostgresStore = SqlStore<Postgres>;

/// What a store in PostgreSQL has beside the connection that writes.
pub struct Postgres {
    me: Arc<Me>,
    /// What the last beat gave, and how often each bucket had changed its owner by then.
    owned: Arc<Mutex<HashMap<ClientId, BTreeMap<Bucket, i64>>>>,
    listener: Listener,
}

/// This process among those that share the database.
#[derive(Debug)]
pub(in crate::store) struct Me {
    /// Its name.
    id: ReplicaId,
    /// It has beaten: from now on it writes only what is its own.
    joined: AtomicBool,
}

impl Me {
    fn new() -> Arc<Self> {
        Arc::new(Self { id: ReplicaId::random(), joined: AtomicBool::new(false) })
    }

    fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("me", &self.me).finish_non_exhaustive()
    }
}

impl SqlStore<Postgres> {
    /// Connects, and brings the schema up to date; blocks meanwhile, for 10 s at most where nobody holds the schema.
    ///
    /// [`StoreError::Unreachable`] may pass by itself; other errors want a hand.
    pub fn connect(address: &PostgresAddress) -> Result<Self, StoreError> {
        Self::with(address, |connector, me, hub| {
            let mut engine = engine::Server::open(connector, me, Some(hub))?;
            engine.migrate()?;
            Ok(engine)
        })
    }

    /// Connects when there is something to do. While the server cannot be reached that fails with
    /// [`StoreError::Unreachable`].
    pub fn connect_later(address: &PostgresAddress) -> Result<Self, StoreError> {
        Self::with(address, |connector, me, hub| engine::Server::later(connector, me, Some(hub)))
    }

    fn with(
        address: &PostgresAddress,
        open: impl FnOnce(
            link::Connector,
            Arc<Me>,
            Arc<listener::Hub>,
        ) -> Result<engine::Server, StoreError>
        + Send
        + 'static,
    ) -> Result<Self, StoreError> {
        let me = Me::new();
        let connector = link::Connector::new(address, &me)?;
        let listener = Listener::new(connector.clone());
        let (hub, writer) = (listener.hub(), Arc::clone(&me));
        let dialect = Postgres { me, owned: Arc::default(), listener };
        Self::start(dialect, move || open(connector, writer, hub))
    }
}
