//! What answers: one turn in, at most one reply out.

pub mod echo;
pub mod none;

use std::pin::Pin;

use crate::protocol::{ConversationId, Media, MsgId, ProcessQueryKey, RobotMessage};

pub use echo::Echo;
pub use none::Silent;

/// One message for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The chat it belongs to; turns of one conversation come one at a time, in order.
    pub conversation_id: ConversationId,
    /// Display name of the writer.
    pub sender_nick: Option<String>,
    /// What was written, with a mark such as `[picture 1]` where a file stood; empty only if something
    /// is quoted without a word.
    pub text: String,
    /// What came with it and with what it quotes, in the order of the marks.
    pub attachments: Vec<Attachment>,
    /// The message that it answers.
    pub quote: Option<Quoted>,
}

/// A file that came with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is.
    pub kind: AttachmentKind,
    /// Where it is to be had.
    pub media: Media,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentKind {
    /// A picture.
    Picture,
    /// A recording of a voice.
    Audio,
    /// A video.
    Video,
    /// Anything else.
    File,
}

/// A message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// Which one it is.
    pub msg_id: Option<MsgId>,
    /// The robot itself sent it, under this key.
    pub process_query_key: Option<ProcessQueryKey>,
    /// Display name of who wrote it, where it came along.
    pub sender_nick: Option<String>,
    /// Its words; empty where only its id came along.
    pub text: String,
    /// What it quotes itself.
    pub quote: Option<Box<Quoted>>,
}

/// An agent could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AgentError(pub String);

/// The answer to a turn, under way.
pub type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<Option<RobotMessage>, AgentError>> + Send + 'a>>;

/// Whatever turns a message into an answer.
pub trait Agent: Send + Sync + 'static {
    /// Answers one turn; `None` says nothing.
    fn turn(&self, turn: Turn) -> Answer<'_>;
}

/// Agents that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentKind {
    /// Text comes back verbatim.
    Echo,
    /// Messages are acked, and nothing is said: for measuring.
    None,
}

impl AgentKind {
    /// The agent itself.
    pub fn build(self) -> Box<dyn Agent> {
        match self {
            Self::Echo => Box::new(Echo),
            Self::None => Box::new(Silent),
        }
    }
}
