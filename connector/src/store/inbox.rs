//! What an operator sees of kept messages, and can do with them: how far each has come, a new try for one
//! that failed, an end to one that should not go on.

use std::fmt;

use super::{InboxId, OutboxId, Pending, StoreError, Unfinished};
use crate::agent::Say;
use crate::credential::ClientId;
use crate::protocol::ProcessQueryKey;

/// The reason that is kept of a message whose turn `/stop` ended.
pub const STOPPED: &str = "stopped by /stop";

/// How the reason of a message begins that is not tried any more, since it seems to do harm.
pub const PARKED: &str = "parked: ";

/// The part of a store that changes single messages.
pub trait InboxStore {
    /// Notes a step of a message. It waits for no sync of its own: it goes to disk with what is written next,
    /// or when nothing was for a second. A crash before that loses the note and nothing else.
    fn note(&self, step: Step);

    /// Puts a message that failed, or was ended, back among the unfinished. What is left of its answer will be
    /// sent; if nothing is, the agent answers anew. With `client_id` it has to be that app's.
    fn retry(&self, client_id: Option<&ClientId>, id: InboxId) -> Pending<Change<Box<Unfinished>>>;

    /// Ends a message that is not finished, or has failed; nothing more of it is sent, whatever its turn still
    /// says. The reason is for the operator.
    fn end(&self, client_id: Option<&ClientId>, id: InboxId, reason: String)
    -> Pending<Change<()>>;
}

/// Reads messages beside a robot that may be at work: no ack waits for it. Calls may take long, and block.
pub trait InboxReader: fmt::Debug {
    /// Messages in some states, oldest first; the newest `at_most` of them.
    fn list(&self, states: &[MessageState], at_most: usize) -> Result<Vec<Kept>, StoreError>;

    /// The messages with a `msgId`, or that came in a frame with that `messageId`; several only if several apps
    /// got it.
    fn by_name(&self, id: &str) -> Result<Vec<Kept>, StoreError>;

    /// One message.
    fn by_id(&self, id: InboxId) -> Result<Option<Kept>, StoreError>;

    /// What was said to it, in order.
    fn parts(&self, id: InboxId) -> Result<Vec<KeptPart>, StoreError>;
}

/// A step of a message. Times are milliseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its ack was handed to the connection, and it was queued.
    Acked {
        /// The message.
        message: InboxId,
        /// When.
        at: i64,
    },
    /// Its turn began.
    Begun {
        /// The message.
        message: InboxId,
        /// When.
        at: i64,
    },
    /// A part is about to be recorded as sent.
    Sent {
        /// The part.
        part: OutboxId,
        /// Which way.
        via: Via,
        /// What names it from now on, where the way gives a name.
        key: Option<ProcessQueryKey>,
    },
}

/// Which way a part went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The URL that came with the message.
    SessionWebhook,
    /// `oToMessages/batchSend`.
    BatchSend,
    /// `groupMessages/send`.
    GroupSend,
    /// The AI card that had shown its words.
    Card,
}

impl Via {
    /// Its name, as it is kept and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::SessionWebhook => "sessionWebhook",
            Self::BatchSend => "batchSend",
            Self::GroupSend => "groupSend",
            Self::Card => "card",
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// It was made.
    Made(T),
    /// The message is in a state that has no such change.
    Unfit(MessageState),
    /// There is no such message (any more).
    Unknown,
}

/// A change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such message.
    #[error("there is no message {0}; see `ddingtalk inbox list --all`")]
    Unknown(i64),
    /// It is in a state that has no such change.
    #[error("message {id} is {}; {wanted}", .state.name())]
    Unfit {
        /// Its number.
        id: i64,
        /// Its state.
        state: MessageState,
        /// Which states have it.
        wanted: &'static str,
    },
}

/// What can be retried.
pub const RETRIED: &str =
    "only one that failed, was parked, stopped or dropped can be worked on again";
/// What can be ended.
pub const ENDED: &str = "only one that waits, is worked on, or has failed can be dropped";

impl<T> Change<T> {
    /// What was made, or why it was not.
    pub fn made(self, id: InboxId, wanted: &'static str) -> Result<T, ChangeError> {
        match self {
            Self::Made(made) => Ok(made),
            Self::Unfit(state) => Err(ChangeError::Unfit { id: id.0, state, wanted }),
            Self::Unknown => Err(ChangeError::Unknown(id.0)),
        }
    }
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// Its turn has not begun.
    Waiting,
    /// Its turn has begun, and is not over.
    Working,
    /// Its answer did not arrive.
    Failed,
    /// It seems to do harm, and is not tried any more.
    Parked,
    /// The one who wrote it stopped it.
    Stopped,
    /// An operator ended it.
    Dropped,
    /// It is answered, or nothing was to be said.
    Done,
}

impl MessageState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Working => "working",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Stopped => "stopped",
            Self::Dropped => "dropped",
            Self::Done => "done",
        }
    }
}

/// A message as it is kept. Times are milliseconds since 1970 UTC; those that an older release did not note
/// are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Names it.
    pub id: InboxId,
    /// The app it was sent to.
    pub client_id: ClientId,
    /// `msgId`.
    pub msg_id: Option<String>,
    /// `messageId` of its frame.
    pub message_id: Option<String>,
    /// The chat.
    pub conversation_id: String,
    /// How far it has come.
    pub state: MessageState,
    /// Why it failed, or was ended.
    pub reason: Option<String>,
    /// When its frame was read.
    pub received_at: i64,
    /// When it was written, an instant before it was durable.
    pub stored_at: Option<i64>,
    /// When its ack went out, and it was queued.
    pub acked_at: Option<i64>,
    /// When its turn began, the last time.
    pub begun_at: Option<i64>,
    /// When the agent had said all.
    pub ended_at: Option<i64>,
    /// When it was over.
    pub finished_at: Option<i64>,
    /// The frame's `data`.
    pub data: String,
}

/// A part of an answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart {
    /// What it says; `None` if that cannot be read.
    pub say: Option<Say>,
    /// When it was kept.
    pub said_at: Option<i64>,
    /// When it had arrived.
    pub sent_at: Option<i64>,
    /// Which way it went.
    pub via: Option<String>,
    /// What names it.
    pub process_query_key: Option<String>,
}
