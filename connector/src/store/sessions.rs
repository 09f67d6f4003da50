//! What an agent remembers of its conversations, for agents that have no memory of their own.
//!
//! A question is kept together with its answer and under its turn, before the answer is said: a crash
//! leaves both or neither, and a turn that comes again finds what it had answered. One whose message
//! [failed](super::Store::failed) before any of its answer went out is forgotten, and so is a session, with
//! its settings, that nothing was added to for 30 days.

use super::Pending;
use crate::agent::SessionSettings;
use crate::credential::ClientId;

/// Where sessions are kept. Calls keep the order of [`Store`](super::Store).
pub trait SessionStore {
    /// A session as it stands; one without anything is empty.
    fn session(&self, key: &SessionKey) -> Pending<Session>;

    /// Keeps a question with its answer. One that is kept already stays as it is. The oldest
    /// exchanges beyond `limits` go.
    fn exchanged(
        &self,
        key: &SessionKey,
        exchange: Exchange,
        tokens: Tokens,
        limits: HistoryLimits,
    ) -> Pending<()>;

    /// Puts a summary in the place of the exchanges up to that of turn `up_to`, and of the summary
    /// before it.
    fn summarised(&self, key: &SessionKey, up_to: i64, summary: String) -> Pending<()>;

    /// Counts tokens that were used without an answer to keep.
    fn used(&self, key: &SessionKey, tokens: Tokens) -> Pending<()>;

    /// Forgets what was said; the settings stay.
    fn forget(&self, key: &SessionKey) -> Pending<()>;

    /// Keeps the settings.
    fn set(&self, key: &SessionKey, settings: SessionSettings) -> Pending<()>;
}

/// Names a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The app that is talked to.
    pub client_id: ClientId,
    /// Unique within the app.
    pub name: String,
}

/// What is remembered of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// What its people have chosen.
    pub settings: SessionSettings,
    /// What came before the exchanges, in short.
    pub summary: Option<String>,
    /// Questions and answers, oldest first.
    pub exchanges: Vec<Exchange>,
    /// Used since it began.
    pub tokens: Tokens,
}

impl Session {
    /// Length of what is remembered, in bytes.
    pub fn bytes(&self) -> usize {
        let summary = self.summary.as_ref().map_or(0, String::len);
        summary + self.exchanges.iter().map(|e| e.question.len() + e.answer.len()).sum::<usize>()
    }
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The turn, by its number in this store; rises with time.
    pub turn: i64,
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

/// Tokens that a model says it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Read.
    pub prompt: u64,
    /// Written.
    pub completion: u64,
}

/// How much is remembered. The newest exchange stays even if it is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Exchanges.
    pub exchanges: usize,
    /// Bytes of all questions and answers.
    pub bytes: usize,
}
