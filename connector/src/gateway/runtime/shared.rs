//! What the loop does because other processes work at the same robot.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

use super::Runtime;
use crate::gateway::conversations::Ticket;
use crate::gateway::replicas::{Found, Keeping, Left, Replicas, SETTLED, Written, look};
use crate::gateway::work::Work;
use crate::protocol::{BotMessage, ConversationId};
use crate::store::replicas::{Bucket, Wanted};
use crate::store::{InboxId, Place, Unfinished};

/// Looks that may be under way at the same time; what is told meanwhile waits for one of them.
const LOOKS: usize = 4;

impl Runtime {
    /// Takes what may begin next, which counts as under way from now on. Suspects are the first: each is cleared within a
    /// minute, and other turns, which may take long, would let them and everybody wait.
    pub(super) fn next_turn(&mut self) -> Option<(Ticket, Work)> {
        // Until it is counted none of its bucket's may be offered to others.
        let mut shares = self.replicas.as_ref().map(|others| others.shares());
        let may =
            |work: &Work| shares.as_ref().is_none_or(|shares| shares.may_begin(work.bucket()));
        let suspects = &self.suspects;
        let suspected = suspects
            .are_there()
            .then(|| self.conversations.start_where(|work| suspects.waits(work.id) && may(work)));
        let next = suspected.flatten().or_else(|| self.conversations.start_where(may))?;
        if let Some(shares) = &mut shares {
            shares.turn_begins(next.1.bucket());
        }
        Some(next)
    }

    /// Whether a message that is kept is queued here.
    pub(super) fn is_for_here(
        &self,
        message: InboxId,
        place: Place,
        keeping: Option<Keeping>,
    ) -> bool {
        match (&self.replicas, keeping) {
            (Some(others), Some(keeping)) if place == Place::Here => {
                others.shares().kept_here(keeping, message)
            }
            (Some(others), Some(keeping)) => {
                others.shares().kept(keeping);
                false
            }
            _ => place == Place::Here,
        }
    }

    /// Whether a message that an operator wants to be worked on again is queued here. Whoever else it belongs to
    /// finds it.
    pub(super) fn begins_again(&self, left: &Unfinished) -> bool {
        let Some(others) = &self.replicas else { return true };
        let bucket = BotMessage::parse(&left.data).map(|read| Bucket::of(&read.conversation_id));
        bucket.is_ok_and(|bucket| others.shares().again(left.id, bucket))
    }

    /// A message needs no more work.
    pub(super) fn ended(&self, message: InboxId) {
        if let Some(others) = &self.replicas {
            others.shares().ended(message);
        }
    }

    /// Another process works on a message: nothing more is done about it here.
    pub(super) fn leave_alone(&mut self, message: InboxId) {
        self.tools.cards.is_elsewhere(message);
        self.suspects.ended(message);
        if let Some(others) = &self.replicas {
            others.shares().forget(message);
        }
    }

    /// Queues a message that has to wait for its turn only. Of several processes, or of one and the one whose place
    /// it takes, one may bring an older message late: it stands before newer ones all the same.
    pub(super) fn line_up(&mut self, conversation: ConversationId, work: Work) {
        self.notices.watch(&*self.tools.agent, &work, Instant::now());
        if self.replicas.is_none() && !self.handing.is_settling() {
            return self.conversations.push(conversation, work);
        }
        let order = written(&work);
        self.conversations.push_before(conversation, work, |waits| written(waits) > order);
    }

    /// Does what a beat, or another process, asks for.
    pub(super) fn share(&mut self) {
        let Some(others) = self.replicas.clone() else { return };
        // What is told while a look is under way waits for the next one.
        let todo = others.shares().todo(self.looks.len() < LOOKS);
        if !todo.lost.is_empty() {
            info!(buckets = todo.lost.len(), "other processes work on some conversations now");
            self.lose(&todo.lost);
        }
        if self.stopping {
            // Whoever has the buckets next finds what is there.
            return;
        }
        if todo.after_outage {
            self.held.not_before(Instant::now() + SETTLED);
        }
        if !todo.gained.is_empty() {
            self.look(&others, Wanted::TakenOver(todo.gained));
        }
        if !todo.told.is_empty() {
            let unknown = others.shares().unknown(todo.told);
            self.look(&others, unknown);
        }
        if !todo.named.is_empty() {
            self.look(&others, Wanted::Among(todo.named));
        }
    }

    fn look(&mut self, others: &Replicas, wanted: Wanted) {
        let asked = others.shares().look();
        let app = self.tools.replier.client_id();
        let begun = Instant::now();
        self.looking.push(begun);
        let stores = (&*self.tools.store, others);
        let found = look(stores, app, (asked, begun), wanted);
        self.looks.push(Box::pin(found));
    }

    /// When the next message need not wait for older ones any more. One that others told of in time may be about
    /// to be found.
    pub(super) fn next_held(&self) -> Option<Instant> {
        let next = self.held.next()?;
        self.looking.iter().all(|begun| *begun > next).then_some(next)
    }

    /// Queues what need not wait for older messages any more.
    pub(super) fn let_go(&mut self) {
        let oldest_look = self.looking.iter().min().copied();
        let now = Instant::now();
        // What had to wait until a look began, or longer, waits for its end.
        let until = oldest_look.map_or(now, |begun| now.min(begun - Duration::from_nanos(1)));
        for (conversation, _, work) in self.held.due(until) {
            self.line_up(conversation, work);
        }
    }

    /// Drops what waits of some buckets, and ends what runs, without a word.
    pub(super) fn lose(&mut self, buckets: &BTreeSet<Bucket>) {
        let is_lost = |work: &Work| buckets.contains(&work.bucket());
        let mut lost = self.conversations.take_out_all(is_lost);
        lost.extend(self.held.take_out(|_| true, is_lost));
        for work in lost {
            self.leave_alone(work.id);
        }
        for running in self.turn_of.values_mut().filter(|turn| buckets.contains(&turn.bucket)) {
            running.is_elsewhere = true;
            running.abort.abort();
            self.tools.cards.is_elsewhere(running.message);
        }
        if let Some(others) = &self.replicas {
            let mut shares = others.shares();
            let running = self.turn_of.values().filter(|turn| buckets.contains(&turn.bucket));
            running.for_each(|turn| shares.forget(turn.message));
        }
        self.widen();
    }

    /// Takes what others left, or took in.
    pub(super) fn found(&mut self, found: Found) {
        let Found { look, begun, buckets, taken_over, outcome } = found;
        if let Some(at) = self.looking.iter().position(|looking| *looking == begun) {
            self.looking.swap_remove(at);
        }
        let Some(others) = self.replicas.clone() else { return };
        let Left { unfinished, cards } = match outcome {
            // Whoever has the buckets next finds it, too.
            Ok(_) if self.stopping => return others.shares().looked(look),
            Ok(left) => left,
            Err(e) => {
                debug!("what other processes left is not known yet: {e}");
                let mut shares = others.shares();
                shares.looked(look);
                // With the next beat.
                return shares.look_again(&buckets, taken_over);
            }
        };
        if taken_over {
            let is_theirs =
                |bucket: Bucket| buckets.contains(&bucket) && others.shares().owns(bucket);
            let (theirs, other): (Vec<_>, Vec<_>) = cards
                .into_iter()
                .partition(|card| is_theirs(Bucket::of(&card.card.conversation_id)));
            self.tools.cards.learn(&other);
            self.tools.cards.take_over(theirs);
        }
        let mut taken = 0;
        for message in unfinished {
            let read = BotMessage::parse(&message.data);
            // What cannot be read belongs to whoever finds it.
            let bucket =
                read.as_ref().map_or(Bucket::LEADER, |read| Bucket::of(&read.conversation_id));
            let admitted = others.shares().found(&look, message.id, bucket);
            if admitted {
                taken += 1;
                self.resume_read(message, read);
            }
        }
        others.shares().looked(look);
        self.share();
        if taken_over {
            self.tools.cards.keep_only(|message| others.shares().knows(message));
            if taken > 0 {
                info!(messages = taken, "messages are taken over from other processes");
            }
            self.narrow();
        }
    }
}

/// By what messages of a conversation stand in order, where several processes take them in.
pub(super) fn written(work: &Work) -> Written {
    (work.message.create_at.unwrap_or(work.received_at), work.id)
}

/// Ready when there may be something to do because of other processes.
pub(super) async fn changed(others: Option<&Replicas>) {
    match others {
        Some(others) => others.changed().await,
        None => std::future::pending().await,
    }
}
