//! What answers: one turn in, at most one reply out.

pub mod echo;
pub mod none;

use std::pin::Pin;

use crate::protocol::{ConversationId, RobotMessage};

pub use echo::Echo;
pub use none::Silent;

/// One message for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The chat it belongs to; turns of one conversation come one at a time, in order.
    pub conversation_id: ConversationId,
    /// Display name of the writer.
    pub sender_nick: Option<String>,
    /// What was written; never empty.
    pub text: String,
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
