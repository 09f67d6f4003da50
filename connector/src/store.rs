//! What survives a crash: messages taken in and answers on their way out.
//!
//! A message is written here before it is acked, and an answer before it is sent. The trait is what
//! the gateway needs and no more. Behind it is a file that one process has for itself ([`sqlite`]), or a
//! database that several share ([`postgres`]).
//!
//! Every call queues its work at once, in the order of the calls, and returns a future that is ready
//! when the work is durable. A caller that drops the future has still done the work.

mod address;
pub mod calls;
pub mod cards;
#[cfg(test)]
mod contract;
pub mod heard;
pub mod inbox;
pub mod pairing;
pub mod peers;
pub mod postgres;
pub mod pushes;
pub mod replicas;
pub mod schedules;
pub mod sessions;
mod sql;
pub mod sqlite;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::agent::Say;
use crate::credential::ClientId;
use crate::protocol::{ConversationId, MessageId, MsgId, ProcessQueryKey};

pub use address::StoreAddress;
pub use cards::{CardId, CardState, CardStore, KeptCard, NewCard};
pub use replicas::{Place, ReplicaStore, TakenIn};

/// Work that is queued; ready when it is durable.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Where messages and answers are kept.
pub trait Store:
    sessions::SessionStore
    + CardStore
    + pairing::PairingStore
    + calls::CallStore
    + heard::HeardStore
    + peers::PeerStore
    + pushes::PushStore
    + inbox::InboxStore
    + schedules::ScheduleStore
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// What the processes that share it need of it; `None` of one that a process has for itself.
    fn replicas(self: Arc<Self>) -> Option<Arc<dyn ReplicaStore>>;

    /// Everything of an app that is not finished, in the order it came, and what is needed to
    /// recognise messages that come again: the ids of at most the last `seen_at_most` of them, received
    /// since `seen_since`, in milliseconds since 1970 UTC; none where the store tells [repeats](Place::Repeat) itself.
    ///
    /// A message whose kept answer cannot be read is finished with a reason, so that it does not stop
    /// every start. The first message of each conversation whose turn is not over is counted as
    /// [cut off](Unfinished::cut_off): an end in order takes that back.
    fn recover(
        &self,
        client_id: &ClientId,
        seen_since: i64,
        seen_at_most: usize,
    ) -> Pending<Recovered>;

    /// Keeps a message. Whoever has the result may ack it; who works on it, the result says.
    fn take_in(&self, message: NewMessage) -> Pending<TakenIn>;

    /// Keeps how often a message's turn was cut off.
    fn keep_cut_off(&self, message: InboxId, times: u32) -> Pending<()>;

    /// An app's robot ends in order: whatever is unfinished counts as never cut off.
    fn end_in_order(&self, client_id: &ClientId) -> Pending<()>;

    /// Ready when everything that was queued before is dealt with: durable, or failed, as its own
    /// outcome says.
    fn barrier(&self) -> Pending<()>;

    /// Lets go of the database once everything queued is durable, or has failed, and blocks until then. What is asked
    /// for later is [`StoreError::Closed`].
    fn close(&self);

    /// Writes something that changes nothing: ready when it is durable.
    fn probe(&self) -> Pending<()>;

    /// Keeps what the agent said to a message, behind what it said before.
    fn said(&self, message: InboxId, said: Said) -> Pending<Vec<OutboxId>>;

    /// A part that was kept earlier is about to be sent.
    fn begin(&self, part: OutboxId) -> Pending<()>;

    /// A part has arrived, and `next` is about to be sent. A message is finished when its turn has ended
    /// and all its parts have arrived.
    fn sent(&self, part: OutboxId, next: Option<OutboxId>) -> Pending<()>;

    /// A message is finished although its answer did not arrive; `reason` is for the operator.
    fn failed(&self, message: InboxId, reason: String) -> Pending<()>;

    /// Remembers for 7 days what was sent under a key, so that a quote of it can be understood.
    fn remember_sent(&self, message: SentMessage) -> Pending<()>;

    /// What an app sent under a key, if that is remembered.
    fn sent_message(
        &self,
        client_id: &ClientId,
        key: &ProcessQueryKey,
    ) -> Pending<Option<SentMessage>>;
}

/// Looks into a store, whoever works with it: nothing is made, changed or held up by it.
pub trait StoreReader: inbox::InboxReader + pairing::PairingReader {}

impl<R: inbox::InboxReader + pairing::PairingReader> StoreReader for R {}

/// A message that the robot API took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// The app that sent it.
    pub client_id: ClientId,
    /// What names it from then on.
    pub process_query_key: ProcessQueryKey,
    /// The chat that it was sent to.
    pub conversation_id: ConversationId,
    /// Whether that is a group.
    pub in_group: bool,
    /// Its words.
    pub text: String,
    /// When, in milliseconds since 1970 UTC.
    pub sent_at: i64,
}

/// Names a message that was kept; rises in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboxId(i64);

impl InboxId {
    /// Of a number that its store gave.
    pub fn of(number: i64) -> Self {
        Self(number)
    }

    /// The number, unique in its store.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// Names a part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(i64);

/// A message to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The app it was sent to.
    pub client_id: ClientId,
    /// `msgId`, the same when it comes again.
    pub msg_id: Option<MsgId>,
    /// `messageId` of the frame.
    pub message_id: Option<MessageId>,
    /// The chat it belongs to.
    pub conversation_id: ConversationId,
    /// When it came, in milliseconds since 1970 UTC.
    pub received_at: i64,
    /// The frame's `data`, as it came.
    pub data: String,
    /// It overtakes what waits in its chat, and is kept also where there is [no room](StoreError::NoRoom) for more.
    pub overtakes: bool,
}

/// The newest message of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// When it came, in milliseconds since 1970 UTC.
    pub received_at: i64,
    /// The frame's `data`.
    pub data: String,
}

/// What an agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// In this order.
    pub parts: Vec<SaidPart>,
    /// `seq` of the agent's last event up to here, where it counts them.
    pub seq: Option<u64>,
    /// The first of them is about to be sent.
    pub begun: bool,
    /// The turn has ended: nothing follows.
    pub ended: bool,
}

/// One message of what an agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidPart {
    /// The message.
    pub say: Say,
    /// It belongs to the same thing said as the part before it, which was too long for one message.
    pub continues: bool,
}

impl From<Say> for SaidPart {
    fn from(say: Say) -> Self {
        Self { say, continues: false }
    }
}

/// What a restart finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Messages without a whole answer.
    pub unfinished: Vec<Unfinished>,
    /// Ids of messages that came, oldest first, finished ones included.
    pub seen: Vec<Seen>,
}

/// A message without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Names it.
    pub id: InboxId,
    /// When it came, in milliseconds since 1970 UTC.
    pub received_at: i64,
    /// The frame's `data`.
    pub data: String,
    /// What is left to be sent, in order.
    pub parts: Vec<UnsentPart>,
    /// How many things the agent has said, those included that have arrived.
    pub said: u64,
    /// `seq` of the agent's last event that is kept; 0 before the first.
    pub seq: u64,
    /// The agent has said all it had to say.
    pub ended: bool,
    /// How many processes, or robots, ended while its turn was under way, and not in order.
    pub cut_off: u32,
}

/// A part of an answer of which it is not known that it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentPart {
    /// Names it.
    pub id: OutboxId,
    /// What to send.
    pub message: Say,
    /// Whether sending it had begun, so that it may have arrived.
    pub begun: bool,
}

/// A message that was cut off so often may be what ended the processes: its turn runs alone.
pub const SUSPECT: u32 = 2;

/// The ids of a message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `msgId`.
    pub msg_id: Option<MsgId>,
    /// `messageId` of the frame.
    pub message_id: Option<MessageId>,
    /// When, in milliseconds since 1970 UTC.
    pub at: i64,
}

/// The store cannot do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be opened or made.
    #[error("cannot open the database {place}: {reason}; {fix}")]
    Open {
        /// The file, or the address without its password.
        place: String,
        /// What went wrong.
        reason: String,
        /// What to do.
        fix: &'static str,
    },
    /// A newer release has written it.
    #[error(
        "the database {place} has schema version {found}, and this release knows {known} and older; use \
         the newer release again, or {instead}"
    )]
    Newer {
        /// The file, or the address without its password.
        place: String,
        /// Its version.
        found: i64,
        /// The newest known version.
        known: i64,
        /// What else to do.
        instead: &'static str,
    },
    /// It is to be read, and an older release has written it.
    #[error(
        "the database {place} has schema version {found}, and this release reads {known}; start its gateway once, \
         which brings the database up to date"
    )]
    Older {
        /// The file, or the address without its password.
        place: String,
        /// Its version.
        found: i64,
        /// The version that is read.
        known: i64,
    },
    /// The disk has no room, or a quota is reached.
    #[error("the disk that holds the database is full; nothing is acked until there is room")]
    Full,
    /// Another process works on the conversation, or may: this one has to leave it alone.
    #[error("the conversation belongs to another process")]
    NotMine,
    /// Another process works on the conversation, and has no room for more. Nothing was stored.
    #[error("the process that answers its chat has as many messages waiting as it has room for")]
    NoRoom,
    /// The database is away. Nothing was stored, and the same can be asked again.
    #[error(
        "the database cannot be reached: {reason}; see that it runs and takes connections from here; a gateway tries again by itself"
    )]
    Unreachable {
        /// What went wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
}
