//! The agent that is another program, attached over the [agent link](crate::link).

use std::sync::Arc;
use std::time::Duration;

use super::{Agent, AgentError, Answer, Attempt, Pace, Speaker, Turn};
use crate::link::Desk;

/// Hands every turn to whoever is attached.
#[derive(Debug)]
pub struct Attach {
    desk: Arc<Desk>,
    patience: Duration,
    admits_by_itself: bool,
}

impl Attach {
    /// Turns wait at `desk`. One without an event for `patience` has failed, whether somebody is attached
    /// or not.
    pub fn new(desk: Arc<Desk>, patience: Duration) -> Self {
        Self { desk, patience, admits_by_itself: false }
    }

    /// The same, for an agent that decides itself who may talk.
    #[must_use]
    pub fn admitting_by_itself(self) -> Self {
        Self { admits_by_itself: true, ..self }
    }
}

impl Agent for Attach {
    fn pace(&self) -> Pace {
        Pace::Flowing
    }

    fn admits_by_itself(&self) -> bool {
        self.admits_by_itself
    }

    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        Box::pin(async move {
            // Its end is an event, which ends this future too.
            self.desk.open(attempt, turn, speaker).silence(self.patience).await;
            let patience = humantime::format_duration(self.patience);
            Err(AgentError(format!("nothing came from the attached agent for {patience}")))
        })
    }
}
