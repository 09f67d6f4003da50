//! What commands such as `/new` and `/model` can do to an agent.

use std::pin::Pin;

use serde::{Deserialize, Serialize};

use super::{AgentError, Turn};
use crate::store::sessions::Tokens;

/// Who understands an agent's commands.
#[derive(Clone, Copy)]
pub enum Commands<'a> {
    /// The agent: it gets them as they were written.
    Verbatim,
    /// The connector. An agent with sessions has them controlled through this.
    Ours(Option<&'a dyn SessionControl>),
}

/// Something that is done to a session, under way.
pub type Controlled<'a, T> = Pin<Box<dyn Future<Output = Result<T, AgentError>> + Send + 'a>>;

/// Sessions and models of an agent. `turn` says whose session is meant. Each call may come again after
/// a crash, with the same turn.
pub trait SessionControl: Send + Sync {
    /// How it stands.
    fn status<'a>(&'a self, turn: &'a Turn) -> Controlled<'a, SessionStatus>;
    /// Forgets what was said.
    fn forget<'a>(&'a self, turn: &'a Turn) -> Controlled<'a, ()>;
    /// Puts a summary in the place of what was said long ago. `wish` says what matters in it.
    fn compact<'a>(&'a self, turn: &'a Turn, wish: &'a str) -> Controlled<'a, Compacted>;
    /// Names of the models there are, in order.
    fn models(&self) -> Controlled<'_, Vec<String>>;
    /// Answers with another model from now on; `None` is the configured one.
    fn choose<'a>(&'a self, turn: &'a Turn, model: Option<&'a str>) -> Controlled<'a, Choice>;
    /// How hard it thinks from now on.
    fn think<'a>(&'a self, turn: &'a Turn, level: Think) -> Controlled<'a, ()>;
    /// What stands below answers from now on.
    fn show_usage<'a>(&'a self, turn: &'a Turn, usage: UsageLine) -> Controlled<'a, ()>;
}

/// How a session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// The model that answers next.
    pub model: String,
    /// Host of the endpoint.
    pub host: String,
    /// How hard it thinks.
    pub think: Think,
    /// What stands below answers.
    pub usage: UsageLine,
    /// Questions with their answers that are remembered.
    pub exchanges: usize,
    /// Length of all that is remembered, in bytes.
    pub bytes: usize,
    /// Whether a summary is part of it.
    pub summarised: bool,
    /// Used since it began.
    pub tokens: Tokens,
}

/// What became of a wish to shorten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compacted {
    /// There is too little for it.
    TooShort,
    /// The model's summary was no shorter; all stays as it was.
    NoGain,
    /// Done: bytes remembered before and now.
    Done {
        /// Before.
        before: usize,
        /// Now.
        after: usize,
    },
}

/// What became of a wish for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It answers next, under this name.
    Chosen(String),
    /// It answers next; the endpoint did not say whether it has it.
    Unchecked(String),
    /// The endpoint has none of that name.
    Unknown,
}

/// What the people of a session have chosen. Kept as JSON: what is missing has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionSettings {
    /// Instead of the configured one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the model thinks.
    pub think: Think,
    /// What stands below answers.
    pub usage: UsageLine,
}

/// How hard a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Think {
    /// As it does by itself.
    #[default]
    Off,
    /// `reasoning_effort: minimal`.
    Minimal,
    /// `reasoning_effort: low`.
    Low,
    /// `reasoning_effort: medium`.
    Medium,
    /// `reasoning_effort: high`.
    High,
    /// `reasoning_effort: xhigh`.
    Xhigh,
}

/// What stands below each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum UsageLine {
    /// Nothing.
    #[default]
    Off,
    /// Tokens of the answer.
    Tokens,
    /// Its model, too.
    Full,
}

/// The word for a value, as commands take and show it.
pub fn word(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
