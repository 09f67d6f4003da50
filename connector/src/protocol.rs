//! What goes over the wire. No IO, no clock, no async runtime.
//!
//! Reading is lenient: unknown fields are skipped, unknown values kept, a number is taken where a
//! string is documented and the reverse, and a field of a hopeless type counts as absent. Writing is
//! exact: the documented shape and nothing else.

pub mod ack;
pub mod bot;
pub mod card_callback;
pub mod connection;
pub mod content;
pub mod frame;
pub mod id;
mod lenient;
pub mod quote;
pub mod reply;
pub mod topic;

pub use ack::{Ack, AckCode, EventAckStatus};
pub use bot::{BotMessage, BotMessageError, ConversationType};
pub use card_callback::CardCallback;
pub use connection::{Endpoint, OpenConnectionRequest, Subscription, Ticket};
pub use content::{Content, DrivePlace, Media, Part, RecordEntry};
pub use frame::{DataFrame, FrameError, FrameType, Headers};
pub use id::{
    ConversationId, EventId, MessageId, MsgId, ProcessQueryKey, RobotCode, SenderId, SenderStaffId,
};
pub use quote::Quote;
pub use reply::{CardButton, RobotMessage};
