//! One WebSocket of a bot.

use std::{collections::VecDeque, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Moment, ticket::OpenCall};

/// Names a connection inside the mock. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionKey(pub(crate) u64);

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectionState {
    /// The ticket is used, the upgrade is on its way.
    Connecting,
    /// Frames are pushed to it.
    Open,
    /// SYSTEM `disconnect` was sent: nothing more is pushed, acks still count.
    Draining,
    /// Ended, and DingTalk has not noticed: pushes still go to it, and vanish.
    Ghost,
    /// Ended.
    Closed,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "CONNECTING",
            Self::Open => "OPEN",
            Self::Draining => "DRAINING",
            Self::Ghost => "GHOST",
            Self::Closed => "CLOSED",
        })
    }
}

/// One row of `connections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionRow {
    /// As in the frames' `connectionId` header.
    pub connection_id: String,
    /// Where it is in its life.
    pub state: ConnectionState,
    /// When the upgrade was accepted, in milliseconds since 1970.
    pub opened_at: i64,
    /// When it ended.
    pub closed_at: Option<i64>,
    /// Why it ended.
    pub close_reason: Option<String>,
    /// When the last WebSocket ping of the bot was read; its pong went out with it.
    pub last_ping_at: Option<i64>,
    /// When the last answer to a SYSTEM ping was read.
    pub last_pong_at: Option<i64>,
    /// `ua` of `connections/open`.
    pub ua: String,
    /// `localIp` of `connections/open`.
    pub local_ip: Option<String>,
    /// `http://HOST` as the bot reached the mock; server-made URLs start with it.
    pub base_url: String,
    /// `TYPE TOPIC` of each subscription.
    pub subscriptions: Vec<String>,
    /// Frames that were answered on it, each once, whichever connection had brought them.
    pub acks: u64,
    /// Answers to SYSTEM frames other than ping.
    pub system_acks: u64,
    /// Text messages that answered nothing, and binary messages.
    pub strays: u64,
}

/// `ua` of the other clients that scenarios let join. What is done to all connections of a bot is not
/// done to theirs.
pub(crate) const PEER_UA: &str = "mock-dingtalk-peer";

impl ConnectionRow {
    /// Whether it is that of another client, which a scenario has let join.
    pub(crate) fn is_peer(&self) -> bool {
        self.ua == PEER_UA
    }
}

/// A connection as the core keeps it.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "faults are independent of each other and of state"
)]
pub(crate) struct Connection {
    pub(crate) key: ConnectionKey,
    pub(crate) id: Arc<str>,
    pub(crate) state: ConnectionState,
    /// Bots that open with the same words share them.
    pub(crate) open: Arc<OpenCall>,
    opened_at: i64,
    closed: Option<(i64, String)>,
    pub(crate) last_ping_at: Option<i64>,
    pub(crate) last_pong_at: Option<i64>,
    pub(crate) acks: u64,
    pub(crate) system_acks: u64,
    pub(crate) strays: u64,
    /// SYSTEM pings since the last one that was answered.
    pub(crate) unanswered_pings: usize,
    /// It answers and gets no frame.
    pub(crate) muted: bool,
    /// Nothing is routed to it, without notice.
    pub(crate) unrouted: bool,
    /// The next push to it is lost.
    pub(crate) loses_next: bool,
    /// Something was done to it: its silence is not judged.
    pub(crate) spared: bool,
    /// TCP is not ended after `disconnect`.
    pub(crate) stays: bool,
    /// The last SYSTEM frames that may still be answered, oldest first.
    asked: VecDeque<(String, SystemFrame)>,
}

/// What a SYSTEM frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemFrame {
    Ping,
    Other,
}

/// SYSTEM frames of one connection that are remembered until they are answered.
const MAX_ASKED: usize = 16;

impl Connection {
    pub(crate) fn new(key: ConnectionKey, id: Arc<str>, open: Arc<OpenCall>, now: Moment) -> Self {
        Self {
            key,
            id,
            state: ConnectionState::Connecting,
            open,
            opened_at: now.unix_ms,
            closed: None,
            last_ping_at: None,
            last_pong_at: None,
            acks: 0,
            system_acks: 0,
            strays: 0,
            unanswered_pings: 0,
            muted: false,
            unrouted: false,
            loses_next: false,
            spared: false,
            stays: false,
            asked: VecDeque::new(),
        }
    }

    /// Whether pushes of this `type` and `topic` may come here. An EVENT is pushed to whoever
    /// subscribed to events at all: the selection is made in the developer console.
    pub(crate) fn takes(&self, kind: &str, topic: &str) -> bool {
        matches!(self.state, ConnectionState::Open | ConnectionState::Ghost)
            && !self.unrouted
            && self
                .open
                .subscriptions
                .iter()
                .any(|s| s.kind == kind && (kind == "EVENT" || s.topic == topic))
    }

    /// Remembers a SYSTEM frame, so that its answer is known.
    pub(crate) fn ask(&mut self, message_id: String, frame: SystemFrame) {
        if self.asked.len() >= MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back((message_id, frame));
    }

    /// The SYSTEM frame that this answers, if it answers one for the first time.
    pub(crate) fn answered(&mut self, message_id: &str) -> Option<SystemFrame> {
        let index = self.asked.iter().position(|(asked, _)| asked == message_id)?;
        self.asked.remove(index).map(|(_, frame)| frame)
    }

    /// Whether what comes here may not arrive at the bot.
    pub(crate) fn is_spared(&self) -> bool {
        self.spared || self.muted || self.loses_next || self.state == ConnectionState::Ghost
    }

    /// Whether it is that of another client, which a scenario has let join.
    pub(crate) fn is_peer(&self) -> bool {
        self.open.ua == PEER_UA
    }

    /// Whether there is a socket, or one on its way.
    pub(crate) fn has_socket(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Connecting | ConnectionState::Open | ConnectionState::Draining
        )
    }

    /// It stands while the rest of its app goes back to a state in which it was `then`, or was
    /// not there. What it counts belongs to that state, and so does what faults made of it here;
    /// what they did to the socket itself stays.
    pub(crate) fn go_back(&mut self, then: Option<&Self>) {
        self.acks = then.map_or(0, |then| then.acks);
        self.system_acks = then.map_or(0, |then| then.system_acks);
        self.strays = then.map_or(0, |then| then.strays);
        self.muted = then.is_some_and(|then| then.muted);
        self.unrouted = then.is_some_and(|then| then.unrouted);
        self.loses_next = then.is_some_and(|then| then.loses_next);
        self.unanswered_pings = 0;
    }

    pub(crate) fn close(&mut self, now: Moment, reason: &str) {
        self.state = ConnectionState::Closed;
        self.closed.get_or_insert_with(|| (now.unix_ms, reason.to_owned()));
    }

    pub(crate) fn row(&self) -> ConnectionRow {
        ConnectionRow {
            connection_id: self.id.to_string(),
            state: self.state,
            opened_at: self.opened_at,
            closed_at: self.closed.as_ref().map(|(at, _)| *at),
            close_reason: self.closed.as_ref().map(|(_, reason)| reason.clone()),
            last_ping_at: self.last_ping_at,
            last_pong_at: self.last_pong_at,
            ua: self.open.ua.clone(),
            local_ip: self.open.local_ip.clone(),
            base_url: self.open.base.http().to_owned(),
            subscriptions: self
                .open
                .subscriptions
                .iter()
                .map(|s| format!("{} {}", s.kind, s.topic))
                .collect(),
            acks: self.acks,
            system_acks: self.system_acks,
            strays: self.strays,
        }
    }
}
