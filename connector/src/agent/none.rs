//! The agent that says nothing, for measuring everything around it.

use super::{Agent, Answer, Turn};

/// Takes every turn and answers none.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Agent for Silent {
    fn turn(&self, _: Turn) -> Answer<'_> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
