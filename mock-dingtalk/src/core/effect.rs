//! What the core wants done in the world.

use std::sync::Arc;

use bytes::Bytes;

use super::{app::AppNumber, connection::ConnectionKey, fault::Cut, journal::Entry};

/// One thing to do. Effects of one step are carried out in order.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// Write one WebSocket message.
    Send {
        /// The connection to write to.
        connection: ConnectionKey,
        /// What to write.
        frame: Outgoing,
    },
    /// End a connection, politely or not.
    Cut {
        /// The connection to end.
        connection: ConnectionKey,
        /// How it ends.
        how: Cut,
    },
    /// Rows of an app changed: whoever waits for one may look again.
    Changed(AppNumber),
    /// An app is gone: whoever waits for its rows gets nothing more.
    Gone(AppNumber),
    /// An entry was added to a journal.
    Journaled(Arc<Entry>),
}

/// A WebSocket message that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// A text message, as all of DingTalk's are.
    Text(Arc<str>),
    /// A binary message, which only a fault sends.
    Binary(Bytes),
}
