//! The agent that says what it hears: a first sign of life, and the subject of most tests.

use super::{Agent, Answer, Turn};
use crate::protocol::RobotMessage;

/// Answers with the same text.
#[derive(Debug, Clone, Copy)]
pub struct Echo;

impl Agent for Echo {
    fn turn(&self, turn: Turn) -> Answer<'_> {
        Box::pin(async move { Ok(Some(RobotMessage::Text(turn.text))) })
    }
}
