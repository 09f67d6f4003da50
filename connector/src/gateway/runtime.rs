//! The loop of one robot: frames are judged, kept and acked, messages queued, turns run.

mod keeping;
mod leave;
mod shared;
mod turns;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tracing::{Instrument, error, info, warn};

use self::keeping::Kept;
use self::shared::{changed, written};
use super::DRAIN;
use super::commands;
use super::conversations::{Conversations, Limits, Ticket};
use super::handing::{Handing, at};
use super::inbox::Order;
use super::intake::Intake;
use super::queued::Notices;
use super::replicas::{Found, Hold, Replicas};
use super::seats::Seats;
use super::suspects::{self, Suspects};
use super::thinking::{Marked, Thinking};
use super::vitals::Queue;
use super::work::{Halt, Task, Tools, Work, keep_trying};
use crate::agent::Pace;
use crate::protocol::{BotMessage, BotMessageError, ConversationId};
use crate::store::inbox::STOPPED;
use crate::store::replicas::Bucket;
use crate::store::{InboxId, Unfinished};
use crate::stream::{Dispatched, StreamHandle};

/// State of the loop.
pub(super) struct Runtime {
    stream: Arc<StreamHandle>,
    tools: Tools,
    intake: Intake,
    /// Frames whose messages are on their way to disk, in the order they came.
    keeping: FuturesOrdered<Pin<Box<dyn Future<Output = Kept> + Send>>>,
    /// How many messages could not be kept.
    failed_keeps: u64,
    /// The store has failed, and that has been said.
    complained: bool,
    /// Another process had no room, and that has been said.
    turned_away: bool,
    conversations: Conversations<Work>,
    /// Where messages wait, in these and before them.
    seats: Seats,
    /// What is told of them.
    queue: Arc<Queue>,
    turns: JoinSet<Result<(), Halt>>,
    /// What goes on beside the turns and holds up none.
    chores: JoinSet<()>,
    /// What a running turn belongs to, so that one that panics frees its queue too.
    turn_of: HashMap<Id, Running>,
    /// What an operator wants.
    orders: mpsc::Receiver<Order>,
    /// Whether turns may begin, while processes change places.
    handing: Handing,
    /// Turns that the agent has got, in the order it got them.
    opened: (mpsc::Sender<Ticket>, mpsc::Receiver<Ticket>),
    suspects: Suspects,
    /// Who is told that a message waits.
    notices: Notices,
    /// The other processes of the robot, where there may be some.
    replicas: Option<Arc<Replicas>>,
    /// Messages that may have to let older ones pass.
    held: Hold<Work>,
    /// What is asked of the database because of other processes.
    looks: FuturesUnordered<Pin<Box<dyn Future<Output = Found> + Send>>>,
    /// Since when each of these is under way.
    looking: Vec<tokio::time::Instant>,
    /// No new messages are taken: the stream has ended.
    stopping: bool,
}

/// A running turn.
struct Running {
    ticket: Ticket,
    message: InboxId,
    bucket: Bucket,
    /// Another process works on it.
    is_elsewhere: bool,
    /// Stops it; used once.
    stop: Option<oneshot::Sender<()>>,
    /// Ends it where it stands.
    abort: AbortHandle,
}

/// How many answers the end found unfinished.
#[derive(Debug)]
pub(super) struct Unanswered(pub(super) usize);

/// Turns that run at the same time.
const AT_ONCE: usize = 256;
/// Turns of one conversation that an agent with a queue of its own may have at the same time.
const FLOWING: usize = 32;
/// Messages that may wait for their turn. Beyond it no frames are taken, which the gateway feels, and other processes of
/// the robot ack none of this one's chats.
const WAITING: usize = 10_000;
/// Messages that may be on their way to disk.
const KEEPING: usize = 1_024;

impl Runtime {
    /// `unfinished` is what an earlier process left, in order.
    pub(super) fn new(
        stream: Arc<StreamHandle>,
        tools: Tools,
        intake: Intake,
        (orders, handing): (mpsc::Receiver<Order>, Handing),
        unfinished: Vec<Unfinished>,
        replicas: Option<Arc<Replicas>>,
    ) -> Self {
        let of_one = match tools.agent.pace() {
            Pace::OneAtATime => 1,
            Pace::Flowing => FLOWING,
        };
        let notices = Notices::new(tools.queued_after, &*tools.agent);
        let mut runtime = Self {
            stream,
            tools,
            intake,
            keeping: FuturesOrdered::new(),
            failed_keeps: 0,
            complained: false,
            turned_away: false,
            conversations: Conversations::new(Limits { in_all: AT_ONCE, of_one }),
            seats: Seats::default(),
            queue: Arc::default(),
            turns: JoinSet::new(),
            chores: JoinSet::new(),
            turn_of: HashMap::new(),
            orders,
            handing,
            opened: mpsc::channel(AT_ONCE),
            suspects: Suspects::default(),
            notices,
            replicas,
            held: Hold::default(),
            looks: FuturesUnordered::new(),
            looking: Vec::new(),
            stopping: false,
        };
        if !unfinished.is_empty() {
            info!(messages = unfinished.len(), "an earlier process left messages to be answered");
        }
        let ids: HashSet<InboxId> = unfinished.iter().map(|message| message.id).collect();
        runtime.tools.cards.keep_only(|message| ids.contains(&message));
        for message in unfinished {
            runtime.resume(message);
        }
        runtime.narrow();
        runtime
    }

    /// How much waits and runs, now and later.
    pub(super) fn depth(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Works until the stream has ended and every answer is out, or until the `deadline` that the stop
    /// came with.
    pub(super) async fn run(
        mut self,
        mut frames: mpsc::Receiver<Dispatched>,
        deadline: watch::Receiver<Option<Instant>>,
    ) -> Result<Unanswered, Halt> {
        let mut end = std::pin::pin!(passed(deadline.clone()));
        let (mut ends, mut is_ending) = (std::pin::pin!(set(deadline)), false);
        self.start_turns();
        loop {
            let waiting = self.conversations.waiting() + self.held.len();
            let next_held = self.next_held();
            let has_room = waiting < WAITING;
            if let Some(others) = &self.replicas {
                others.shares().has_room(has_room);
            }
            // What came before the end is kept for the next process, however many wait.
            let room = (has_room || is_ending) && self.keeping.len() < KEEPING;
            let pending = !self.keeping.is_empty() || (room && !frames.is_empty());
            tokio::select! {
                frame = frames.recv(), if room => match frame {
                    Some(dispatched) => self.take_in(dispatched).await,
                    None => break,
                },
                Some(kept) = self.keeping.next() => self.kept(kept).await?,
                Some(ticket) = self.opened.1.recv() => self.conversations.opened(&ticket),
                Some(ended) = self.turns.join_next_with_id() => self.turn_ended(ended)?,
                Some(_) = self.chores.join_next() => {}
                Some(order) = self.orders.recv() => self.obey(order),
                () = at(self.suspects.clears_at()) => self.clear_suspect(),
                () = self.handing.changed(pending) => {}
                () = at(self.notices.next()) => self.tell_who_waits(),
                () = at(next_held) => {}
                () = changed(self.replicas.as_deref()) => self.share(),
                Some(found) = self.looks.next() => self.found(found),
                _ = &mut ends, if !is_ending => is_ending = true,
                () = &mut end => return Ok(self.unanswered()),
            }
            self.start_turns();
        }
        // What comes now is left to the next start.
        self.orders.close();
        self.stopping = true;
        if self.handing.is_held() {
            return self.leave(end).await;
        }
        if let Some(others) = &self.replicas {
            others.leave();
        }
        // A stream that ended without being asked to leaves the usual time.
        let at_most = tokio::time::sleep(DRAIN);
        tokio::pin!(at_most);
        while !(self.keeping.is_empty()
            && self.conversations.is_idle()
            && self.held.len() == 0
            && self.chores.is_empty())
        {
            let next_held = self.next_held();
            tokio::select! {
                () = at(next_held) => {}
                () = changed(self.replicas.as_deref()) => self.share(),
                Some(found) = self.looks.next() => self.found(found),
                Some(kept) = self.keeping.next() => self.kept(kept).await?,
                Some(ticket) = self.opened.1.recv() => self.conversations.opened(&ticket),
                Some(ended) = self.turns.join_next_with_id() => self.turn_ended(ended)?,
                Some(_) = self.chores.join_next() => {}
                () = &mut end => return Ok(self.unanswered()),
                () = &mut at_most => return Ok(self.unanswered()),
            }
            self.start_turns();
        }
        tokio::select! {
            () = self.tools.cards.settled() => {}
            () = &mut end => {}
            () = &mut at_most => {}
        }
        Ok(self.unanswered())
    }

    fn unanswered(&self) -> Unanswered {
        let unfinished = self.conversations.unfinished() + self.held.len();
        if unfinished > 0 {
            warn!(unfinished, "stopped with answers unfinished; the next start goes on with them");
        }
        Unanswered(unfinished)
    }

    /// Queues what an earlier process did not finish.
    fn resume(&mut self, left: Unfinished) {
        let read = BotMessage::parse(&left.data);
        self.resume_read(left, read);
    }

    /// The same, of one that has been read, or cannot be.
    fn resume_read(&mut self, left: Unfinished, read: Result<BotMessage, BotMessageError>) {
        if let suspects::Verdict::Parked(reason) = self.suspects.judge(&left) {
            error!(message = left.id.number(), "a message gets no answer: {reason}");
            return self.give_up(left.id, reason);
        }
        let Unfinished { id, received_at, data: _, parts, said, seq, ended, cut_off } = left;
        let (message, task) = match read {
            Ok(message) if ended => (message, Ok(Task::Send(parts))),
            Ok(message) => {
                // What another process took in, and nobody has begun.
                let is_new = self.replicas.is_some() && said == 0 && seq == 0 && cut_off == 0;
                let task = match self.intake.resumed(&message) {
                    Some(Task::Turn(turn)) if is_new => Ok(Task::Turn(turn)),
                    Some(Task::Turn(turn)) => Ok(Task::Resume { turn, parts, said, seq }),
                    Some(Task::Pair { .. }) if said > 0 => Err("its sender is not paired any more"),
                    task => task.ok_or("nobody may answer it any more"),
                };
                (message, task)
            }
            Err(e) => {
                // It was understood when it was taken in.
                error!("a kept message cannot be read: {e}");
                self.give_up(id, e.to_string());
                return;
            }
        };
        match task {
            Ok(task) => {
                let thinking = self.think(&message, &task);
                let seat = Some(self.seats.take_again(&message.conversation_id));
                self.queue(Work { id, received_at, message, task, thinking, seat });
            }
            Err(reason) => {
                // An earlier process may have marked it.
                drop(self.think(&message, &Task::Send(Vec::new())));
                self.give_up(id, reason.to_owned());
            }
        }
    }

    /// A message gets no answer any more.
    fn give_up(&mut self, message: InboxId, reason: String) {
        self.suspects.ended(message);
        self.ended(message);
        self.tools.cards.turn_lost(message);
        self.fail(message, reason);
    }

    /// Records it, before anything that is queued after this; a store that fails is asked again, since the
    /// next start would answer the message.
    fn fail(&mut self, message: InboxId, reason: String) {
        let tools = self.tools.clone();
        let mut first = Some(tools.store.failed(message, reason.clone()));
        self.chores.spawn(async move {
            let failed = || tools.store.failed(message, reason.clone());
            // Without a store everything ends.
            if keep_trying(|| first.take().unwrap_or_else(failed)).await.is_ok() {
                tools.trace(message);
            }
        });
    }

    /// Marks a message that the agent is to answer.
    fn think(&mut self, message: &BotMessage, task: &Task) -> Option<Thinking> {
        let shown = match task {
            Task::Turn(turn) if commands::of(&*self.tools.agent, turn).is_some() => return None,
            Task::Turn(turn) if !self.tools.peers.are_met(message, turn.standing) => return None,
            Task::Turn(_) => false,
            Task::Resume { .. } | Task::Send(_) => true,
            Task::Say(_) | Task::Pair { .. } => return None,
        };
        let client = self.tools.thinker.as_ref()?;
        let marked = Marked {
            robot_code: self.tools.replier.robot_code(message),
            conversation_id: message.conversation_id.clone(),
            msg_id: message.msg_id.clone()?,
        };
        Some(Thinking::begin(client, marked, shown, &mut self.chores))
    }

    /// Queues a message. A `/stop` overtakes the queue, and so does what waits for no turn.
    fn queue(&mut self, mut work: Work) {
        let conversation = work.message.conversation_id.clone();
        if work.is_stop(&*self.tools.agent) {
            let turns = self.stop(&conversation);
            info!(turns, %conversation, "turns were stopped by /stop");
            work.task = Task::Say(commands::stopped(turns));
            self.conversations.push_first(conversation, work);
        } else if work.is_aside(&*self.tools.agent) {
            // A queue of its own, which no `/stop` empties: no conversation is named with a blank.
            let beside = ConversationId::new(format!("{conversation} asides"));
            self.conversations.push(beside, work);
        } else if self.replicas.as_ref().is_some_and(|others| others.shares().has_company()) {
            self.held.add(conversation, written(&work), tokio::time::Instant::now(), work);
        } else {
            self.line_up(conversation, work);
        }
    }

    fn tell_who_waits(&mut self) {
        for notice in self.notices.due(tokio::time::Instant::now(), &self.conversations) {
            let replier = Arc::clone(&self.tools.replier);
            let tell = async move { notice.tell(&replier).await };
            self.chores.spawn(tell.in_current_span());
        }
    }

    /// Stops the turn of a conversation, and takes those that wait behind it out of the queue. Returns how
    /// many there were. That they are finished is queued before anything that `/stop` says.
    fn stop(&mut self, conversation: &ConversationId) -> usize {
        let agent = &*self.tools.agent;
        let mut waiting =
            self.conversations.take_out(conversation, |work| work.can_be_stopped(agent));
        let held = self.held.take_out(|id| id == conversation, |work| work.can_be_stopped(agent));
        waiting.extend(held);
        for work in &waiting {
            self.tools.cards.turn_stopped(work.id);
            self.suspects.ended(work.id);
            if let Some(others) = &self.replicas {
                others.shares().ended(work.id);
            }
            self.fail(work.id, STOPPED.to_owned());
        }
        let running =
            self.turn_of.values_mut().filter(|turn| turn.ticket.conversation() == conversation);
        let stopped = running
            .filter_map(|turn| turn.stop.take())
            // Nobody hears it any more where all was said already.
            .filter_map(|stop| stop.send(()).ok())
            .count();
        waiting.len() + stopped
    }

    /// Does what an operator wants. A turn that is ended is so where it stands, and finished by whoever asked.
    fn obey(&mut self, order: Order) {
        match order {
            Order::Again(left) => {
                if self.begins_again(&left) {
                    self.resume(*left);
                }
            }
            Order::Leave { message, left } => {
                let waits = self.conversations.take_one(|work| work.id == message);
                let waits =
                    waits.or_else(|| self.held.take_out(|_| true, |work| work.id == message).pop());
                if let Some(work) = waits {
                    self.tools.cards.turn_stopped(work.id);
                    self.suspects.ended(work.id);
                    self.ended(work.id);
                    self.widen();
                } else if let Some(turn) =
                    self.turn_of.values().find(|turn| turn.message == message)
                {
                    turn.abort.abort();
                }
                // Whoever asked may be gone.
                let _ = left.send(());
            }
        }
    }
}

/// Waits until a deadline has been set and has passed.
async fn passed(deadline: watch::Receiver<Option<Instant>>) {
    match set(deadline).await {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        // Whoever could have set it is gone without doing so.
        None => std::future::pending().await,
    }
}

/// The deadline, once there is one.
async fn set(mut deadline: watch::Receiver<Option<Instant>>) -> Option<Instant> {
    deadline.wait_for(Option::is_some).await.ok().and_then(|set| *set)
}
