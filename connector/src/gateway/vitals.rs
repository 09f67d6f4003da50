//! How a robot is doing, for whoever asks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::cards::Cards;
use super::replicas::{Away, ReplicaReport, Replicas};
use super::reply::Replier;
use crate::openapi::{CallBudget, OpenApiClient};
use crate::stream::life::{Life, LifeReport};
use crate::stream::{Hearing, StreamHandle, StreamState};
use crate::unix_time::now_ms;

/// Looks at a robot at work.
#[derive(Debug)]
pub struct Vitals {
    client: Arc<OpenApiClient>,
    replier: Arc<Replier>,
    cards: Arc<Cards>,
    queue: Arc<Queue>,
    connection: Arc<Mutex<Connection>>,
    life: Arc<Life>,
    replicas: Option<Arc<Replicas>>,
}

/// A robot as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its connection.
    pub connection: Connection,
    /// What it has lived through.
    pub life: LifeReport,
    /// Messages whose turn has not begun.
    pub waiting: usize,
    /// Messages whose turn has begun, and is not over.
    pub running: usize,
    /// Its calls.
    pub calls: CallBudget,
    /// Sends since the start that were repeated although they may have arrived.
    pub possible_duplicates: u64,
    /// Cards that wait for their last words.
    pub open_cards: usize,
    /// How it stands among the processes of its robot, where there may be several.
    pub replicas: Option<ReplicaReport>,
}

/// A connection, or the lack of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// `waiting`, `opening`, `connecting`, `connected` or `stopped`.
    pub state: &'static str,
    /// Since when there has been one, or none, in milliseconds since 1970 UTC.
    pub since: i64,
}

impl Connection {
    fn of(state: &StreamState, since: i64) -> Self {
        let state = match state {
            StreamState::Waiting { .. } => "waiting",
            StreamState::Opening { .. } => "opening",
            StreamState::Connecting { .. } => "connecting",
            StreamState::Connected { .. } => CONNECTED,
            StreamState::Stopped => "stopped",
        };
        Self { state, since }
    }

    /// Tries to connect are one outage; a connection that takes the place of another is a new one.
    fn next(self, state: &StreamState, now: i64) -> Self {
        let next = Self::of(state, now);
        let goes_on = next.state != CONNECTED && self.state != CONNECTED;
        if goes_on { Self { since: self.since, ..next } } else { next }
    }
}

pub(crate) const CONNECTED: &str = "connected";

/// How many messages wait, and how many turns run.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    running: AtomicUsize,
}

impl Queue {
    pub(super) fn set(&self, waiting: usize, running: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
        self.running.store(running, Ordering::Relaxed);
    }
}

impl Vitals {
    /// Watches as long as the stream lives.
    pub(super) fn watch(
        client: Arc<OpenApiClient>,
        replier: Arc<Replier>,
        cards: Arc<Cards>,
        queue: Arc<Queue>,
        stream: &StreamHandle,
        replicas: Option<Arc<Replicas>>,
    ) -> Arc<Self> {
        let life = stream.life();
        let mut stream = stream.state();
        let first = Connection::of(&stream.borrow_and_update(), now_ms());
        let connection = Arc::new(Mutex::new(first));
        let seen = Arc::clone(&connection);
        tokio::spawn(async move {
            while stream.changed().await.is_ok() {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                *seen = seen.next(&stream.borrow_and_update(), now_ms());
            }
        });
        Arc::new(Self { client, replier, cards, queue, connection, life, replicas })
    }

    /// Whether messages can arrive.
    pub fn hearing(&self) -> Hearing {
        self.life.hearing()
    }

    /// Why nothing can be kept at the moment, where that is known.
    pub fn away(&self) -> Option<Away> {
        self.replicas.as_ref()?.report().away
    }

    /// The robot as it is now.
    pub fn report(&self) -> Report {
        Report {
            connection: *self.connection.lock().unwrap_or_else(PoisonError::into_inner),
            life: self.life.report(),
            waiting: self.queue.waiting.load(Ordering::Relaxed),
            running: self.queue.running.load(Ordering::Relaxed),
            calls: self.client.call_budget(),
            possible_duplicates: self.replier.possible_duplicates(),
            open_cards: self.cards.count_open(),
            replicas: self.replicas.as_ref().map(|replicas| replicas.report()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_as_old_as_its_first_state() {
        let down = Connection::of(&StreamState::Opening { attempt: 0 }, 1);
        let down = down.next(&StreamState::Connecting { attempt: 0 }, 2);
        assert_eq!(down, Connection { state: "connecting", since: 1 });
        let ended = down.next(&StreamState::Stopped, 3);
        assert_eq!(ended, Connection { state: "stopped", since: 1 });
        let up = Connection { state: CONNECTED, since: 4 };
        assert_eq!(up.next(&StreamState::Opening { attempt: 0 }, 5).since, 5);
    }
}
