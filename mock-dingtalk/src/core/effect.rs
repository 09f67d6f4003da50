//! What the core wants done in the world.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    app::AppNumber,
    connection::ConnectionKey,
    fault::{BadFrame, Cut},
    journal::Entry,
};

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
    /// Make a connection ill, which goes on.
    Sicken {
        /// The connection that gets it.
        connection: ConnectionKey,
        /// What it gets.
        with: Ill,
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
    /// A text message in so many fragments, with a ping after the first. Only a fault sends it.
    Fragments(Arc<str>, u32),
    /// A text message in a forbidden way. Only a fault sends it.
    Bad(Arc<str>, BadFrame),
}

/// What is wrong with a connection from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ill {
    /// Its pings are not answered.
    NoPong,
    /// What goes out trickles.
    Dribble {
        /// At a time.
        bytes: usize,
        /// Between two of them.
        every: Duration,
    },
}
