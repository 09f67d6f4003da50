//! What goes into the session and what comes out.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use crate::protocol::{Ack, DataFrame, Endpoint, FrameError};

/// Both clocks at one moment: the monotonic one for every duration, the wall clock to notice that the
/// computer slept.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic time; stands still while the computer sleeps.
    pub mono: Instant,
    /// Wall clock; jumps.
    pub wall: SystemTime,
}

/// Numbers connection attempts, so that late news is told from news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// Names one dispatched frame, and with it the connection its ack must go out on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRef {
    pub(super) generation: Generation,
    pub(super) sequence: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Nothing but time.
    Tick,
    /// `connections/open` answered.
    Opened {
        /// The attempt.
        generation: Generation,
        /// Where to go.
        endpoint: Endpoint,
    },
    /// `connections/open`, or the handshake, failed.
    OpenFailed {
        /// The attempt.
        generation: Generation,
        /// How.
        failure: OpenFailure,
    },
    /// The WebSocket stands.
    SocketUp {
        /// The attempt.
        generation: Generation,
    },
    /// A text message was read.
    Text {
        /// The connection.
        generation: Generation,
        /// The message.
        text: String,
    },
    /// A binary message was read.
    Binary {
        /// The connection.
        generation: Generation,
    },
    /// Something was read that carries no frame: a pong, a ping.
    Heard {
        /// The connection.
        generation: Generation,
    },
    /// Reading stands still because *we* cannot keep up; silence proves nothing meanwhile.
    ReadingPaused,
    /// The connection ended.
    SocketClosed {
        /// The connection.
        generation: Generation,
        /// How.
        reason: CloseReason,
    },
    /// A dispatched frame was dealt with; this is its ack.
    HandlerFinished {
        /// The frame.
        frame: FrameRef,
        /// Its ack.
        ack: Ack,
    },
    /// Come to an end.
    Stop,
}

/// What to do, in order.
#[derive(Debug)]
pub enum Output {
    /// Call `connections/open`.
    OpenConnection {
        /// The attempt.
        generation: Generation,
    },
    /// Connect and shake hands.
    ConnectSocket {
        /// The attempt.
        generation: Generation,
        /// Where to.
        endpoint: Endpoint,
    },
    /// Give up an attempt that is under way.
    Abandon {
        /// The attempt.
        generation: Generation,
    },
    /// Send a text message.
    SendText {
        /// The connection.
        generation: Generation,
        /// The message.
        text: String,
    },
    /// Send a WebSocket ping.
    SendPing {
        /// The connection.
        generation: Generation,
    },
    /// Send a Close frame (1000) and go on reading.
    CloseSocket {
        /// The connection.
        generation: Generation,
    },
    /// Drop the connection as it is.
    DropSocket {
        /// The connection.
        generation: Generation,
    },
    /// Hand a frame to whoever handles it; its ack comes back as [`Input::HandlerFinished`].
    Dispatch {
        /// Names the frame in that answer.
        frame: FrameRef,
        /// The frame.
        data_frame: DataFrame,
    },
    /// The session's state, for observers.
    Publish(StreamState),
    /// Something to count and to log.
    Note(Note),
}

/// The state for observers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    /// Pausing before an attempt.
    Waiting {
        /// Attempts since the last stable connection.
        attempt: u32,
        /// How long the pause is.
        delay: Duration,
        /// What ended the connection, or kept it from standing.
        outage: Outage,
    },
    /// Asking for endpoint and ticket.
    Opening {
        /// Attempts since the last stable connection.
        attempt: u32,
    },
    /// Shaking hands.
    Connecting {
        /// Attempts since the last stable connection.
        attempt: u32,
    },
    /// Up.
    Connected {
        /// The connection.
        generation: Generation,
    },
    /// Over.
    Stopped,
}

/// Why a new connection is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outage {
    /// None could be made.
    NoConnection(OpenFailure),
    /// It ended.
    Closed(CloseReason),
    /// The gateway announced its end; the frame's data tells its reason.
    DisconnectAnnounced(String),
    /// Nothing was read for so long.
    Silent(Duration),
    /// It brought no frame for very long; nothing is known to be wrong.
    Renewal,
    /// The wall clock jumped by so much: the computer probably slept.
    ClockJumped(Duration),
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenFailure {
    /// The gateway refused our credentials; trying often is pointless, trying is not.
    Refused {
        /// Who refused what, and what to check.
        reason: String,
    },
    /// Anything else; it may pass.
    Transient {
        /// What went wrong.
        reason: String,
        /// What the server asked us to wait.
        retry_after: Option<Duration>,
    },
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// A Close frame came.
    Closed {
        /// Its code, 1005 when it had none.
        code: u16,
        /// Its text.
        reason: String,
    },
    /// TCP ended without a Close frame (FIN).
    Ended,
    /// TCP broke, or the peer broke the WebSocket protocol.
    Failed(String),
    /// The peer does not take what we send.
    Stuck,
}

/// What is worth counting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A message that is no frame we know; logged once per kind.
    Malformed(Malformed),
    /// An ack came too late for its connection. The gateway may deliver the message again, and it
    /// will be recognised.
    AckWithoutConnection,
    /// The wall clock jumped forward by so much.
    ClockJumped(Duration),
}

/// Kinds of messages we could make nothing of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// Not a frame.
    Frame(FrameError),
    /// A frame of unknown `type`.
    UnknownType(String),
    /// A SYSTEM frame of unknown topic.
    UnknownSystemTopic(String),
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(failure) => failure.fmt(f),
            Self::Closed(reason) => reason.fmt(f),
            Self::DisconnectAnnounced(data) => {
                write!(f, "the gateway announced disconnect {data:?}")
            }
            Self::Silent(silence) => write!(f, "nothing read for {} s", silence.as_secs()),
            Self::Renewal => f.write_str("no frame for long: renewed as a precaution"),
            Self::ClockJumped(jump) => {
                write!(f, "the wall clock jumped by {} s: the computer slept?", jump.as_secs())
            }
        }
    }
}

impl fmt::Display for OpenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reason } | Self::Transient { reason, .. } => f.write_str(reason),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { code, reason } if reason.is_empty() => write!(f, "closed with {code}"),
            Self::Closed { code, reason } => write!(f, "closed with {code} {reason:?}"),
            Self::Ended => f.write_str("ended without a Close frame"),
            Self::Failed(e) => write!(f, "broken: {e}"),
            Self::Stuck => f.write_str("the peer takes nothing any more"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(e) => e.fmt(f),
            Self::UnknownType(kind) => write!(f, "a frame of unknown type {kind:?}"),
            Self::UnknownSystemTopic(topic) => {
                write!(f, "a SYSTEM frame of unknown topic {topic:?}")
            }
        }
    }
}
