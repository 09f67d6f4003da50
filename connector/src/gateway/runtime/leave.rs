//! The end of a robot whose place another process takes.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::{Runtime, Unanswered};
use crate::agent::Pace;
use crate::gateway::handing::at;
use crate::gateway::work::Halt;

/// So long the turns that run may go on; the other process holds up frames meanwhile.
const TURNS: Duration = Duration::from_millis(400);

impl Runtime {
    /// Leaves what waits, and soon what runs, to the other process; what is being sent arrives, and is recorded,
    /// unless it takes until `end`. No frames come any more, and no turn begins.
    pub(super) async fn leave(
        mut self,
        mut end: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Unanswered, Halt> {
        // Turns of an attached agent are offered again, whatever it is at.
        let patience = match self.tools.agent.pace() {
            Pace::OneAtATime => TURNS,
            Pace::Flowing => Duration::ZERO,
        };
        let cut = Instant::now() + patience;
        let mut is_over = patience.is_zero();
        while !(self.keeping.is_empty()
            && (is_over || (self.turns.is_empty() && self.chores.is_empty())))
        {
            tokio::select! {
                Some(kept) = futures_util::StreamExt::next(&mut self.keeping) => self.kept(kept).await?,
                Some(ticket) = self.opened.1.recv() => self.conversations.opened(&ticket),
                Some(ended) = self.turns.join_next_with_id() => self.turn_ended(ended)?,
                Some(_) = self.chores.join_next() => {}
                () = at(Some(cut)), if !is_over => is_over = true,
                () = &mut end => return Ok(self.unanswered()),
            }
        }
        let gate = std::sync::Arc::clone(&self.tools.gate);
        tokio::select! {
            closed = gate.close() => {
                // Before it opens again nothing is left that could send.
                self.turns.shutdown().await;
                drop(closed);
            }
            () = &mut end => {}
        }
        Ok(self.unanswered())
    }
}
