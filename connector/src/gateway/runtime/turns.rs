//! Turns begin and end, one after the other while there are suspects.

use std::collections::BTreeSet;

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use tracing::{Instrument, error, warn};

use super::{AT_ONCE, Running, Runtime};
use crate::gateway::work::{Halt, Opened, keep_trying};
use crate::store::inbox::Step;
use crate::unix_time::now_ms;

impl Runtime {
    /// Lets turns run one after the other while there are suspects.
    pub(super) fn narrow(&mut self) {
        if self.suspects.are_there() {
            warn!(
                "turns run one after the other for now: some were under way when processes ended"
            );
            self.widen();
        }
    }

    pub(super) fn start_turns(&mut self) {
        self.let_go();
        while !self.handing.forbids()
            && let Some((ticket, work)) = self.next_turn()
        {
            let (message, bucket) = (work.id, work.bucket());
            let opened = Opened::new(&self.opened.0, ticket.clone());
            let (stop, stopped) = oneshot::channel();
            let suspected = self.suspects.begins(message, Instant::now());
            let tools = self.tools.clone();
            let run = async move {
                if let Some(times) = suspected {
                    keep_trying(|| tools.store.keep_cut_off(message, times)).await?;
                }
                work.run(tools, opened, stopped).await
            };
            self.tools.store.note(Step::Begun { message, at: now_ms() });
            let abort = self.turns.spawn(run.in_current_span());
            let running =
                Running { ticket, message, bucket, is_elsewhere: false, stop: Some(stop), abort };
            self.turn_of.insert(running.abort.id(), running);
        }
        let waiting = self.conversations.waiting();
        let running = self.conversations.unfinished() - waiting;
        self.queue.set(waiting + self.held.len(), running);
    }

    pub(super) fn turn_ended(
        &mut self,
        ended: Result<(Id, Result<(), Halt>), JoinError>,
    ) -> Result<(), Halt> {
        let (id, failure, not_mine) = match ended {
            Ok((id, Err(Halt::NotMine))) => (id, None, true),
            Ok((id, outcome)) => {
                outcome?;
                (id, None, false)
            }
            Err(e) => (e.id(), Some(e), false),
        };
        let Some(running) = self.turn_of.remove(&id) else { return Ok(()) };
        let Running { ticket, message, bucket, is_elsewhere, .. } = running;
        if let Some(others) = &self.replicas {
            others.shares().turn_ends(bucket);
        }
        if not_mine {
            // Whose it is the next beat says.
            if let Some(others) = &self.replicas {
                others.shares().disown(bucket);
            }
            self.lose(&BTreeSet::from([bucket]));
        }
        self.conversations.finished(&ticket);
        if self.conversations.is_over(ticket.conversation()) {
            self.notices.quiet(ticket.conversation());
        }
        if not_mine || is_elsewhere {
            self.leave_alone(message);
            self.widen();
            return Ok(());
        }
        match failure {
            // One that was ended from outside is finished there.
            Some(e) if e.is_cancelled() => {}
            Some(e) => {
                error!(error = %e, "a turn failed; its message gets no answer");
                self.fail(message, format!("its turn failed: {e}"));
            }
            None => self.tools.trace(message),
        }
        self.tools.cards.turn_lost(message);
        self.suspects.ended(message);
        self.ended(message);
        self.widen();
        Ok(())
    }

    /// The suspect that runs has gone on for so long that it is none.
    pub(super) fn clear_suspect(&mut self) {
        if let Some(message) = self.suspects.clear() {
            // Without it the message is a suspect after the next start, and no more.
            drop(self.tools.store.keep_cut_off(message, 0));
        }
        self.widen();
    }

    /// Lets turns run at the same time again when no suspect is left; else one more, which is a suspect, and while
    /// that runs none.
    pub(super) fn widen(&mut self) {
        let in_all = match (self.suspects.are_there(), self.suspects.clears_at()) {
            (false, _) => AT_ONCE,
            (true, None) => self.conversations.running() + 1,
            (true, Some(_)) => self.conversations.running().max(1),
        };
        self.conversations.limit(in_all);
    }
}
