//! The agent that says nothing, for measuring everything around it.

use super::{Agent, Answer, Attempt, Speaker, Turn};

/// Takes every turn and answers none.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Agent for Silent {
    fn turn(&self, _: Attempt, _: Turn, _: Speaker) -> Answer<'_> {
        Box::pin(async { Ok(()) })
    }

    fn answers_at_once(&self) -> bool {
        true
    }
}
