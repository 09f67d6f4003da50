//! What a scenario handles beside the mock: the bot's process, and what stands around it.

use std::{process::ExitStatus, time::Duration};

use super::Model;
use crate::core::Media;

/// The process of a bot, as far as a scenario handles it.
///
/// What is not overridden cannot be done, which ends a scenario that asks for it.
pub trait Subject: Sync {
    /// Kills it and starts it again with the same state. The error says why that cannot be done.
    fn restart(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Asks it to end, as an operator does (SIGTERM), and gives the status that it ended with;
    /// nothing where it has not ended `within` this time.
    fn stop(
        &mut self,
        _within: Duration,
    ) -> impl Future<Output = Result<Option<ExitStatus>, String>> + Send {
        std::future::ready(Err("whoever plays this cannot stop the bot".to_owned()))
    }

    /// Tells the status with which it ended badly, by itself, once it has. One that ends well may have
    /// left its work to another process, so that this does not tell of it.
    fn ended(&mut self) -> impl Future<Output = ExitStatus> + Send {
        std::future::pending()
    }

    /// Has it send a message of its own accord, and gives the status that this ended with; nothing
    /// where it has not ended `within` this time.
    fn push(
        &mut self,
        _push: &Push,
        _within: Duration,
    ) -> impl Future<Output = Result<Option<ExitStatus>, String>> + Send {
        std::future::ready(Err("whoever plays this has no way to push".to_owned()))
    }

    /// The model behind it, where the scenario has one: [`Scenario::start_model`].
    ///
    /// [`Scenario::start_model`]: super::Scenario::start_model
    fn model(&self) -> Option<&Model> {
        None
    }
}

/// A message that answers nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Push {
    /// `user:USERID` or `chat:CONVERSATIONID`.
    pub target: String,
    /// The words.
    pub text: String,
    /// A file that goes with them.
    pub media: Option<Media>,
}

impl Push {
    pub(super) fn new(target: String, text: String, media: Option<Media>) -> Self {
        Self { target, text, media }
    }
}
