//! The loop of one robot: frames are judged, kept and acked, messages queued, turns run.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info, warn};

use super::conversations::Conversations;
use super::intake::{Intake, Verdict};
use super::work::{Task, Tools, Work};
use super::{DRAIN, now_ms};
use crate::protocol::{BotMessage, ConversationId};
use crate::store::{NewMessage, StoreError, Unfinished};
use crate::stream::{Dispatched, FrameRef, StreamHandle};

/// State of the loop.
pub(super) struct Runtime {
    stream: Arc<StreamHandle>,
    tools: Tools,
    intake: Intake,
    /// Frames whose messages are on their way to disk, in the order they came.
    keeping: FuturesOrdered<Pin<Box<dyn Future<Output = Kept> + Send>>>,
    /// The store has failed, and that has been said.
    complained: bool,
    conversations: Conversations<Work>,
    turns: JoinSet<()>,
    /// Which conversation a running turn belongs to, so that one that panics frees its queue too.
    turn_of: HashMap<Id, ConversationId>,
}

/// How many answers the end found unfinished.
#[derive(Debug)]
pub(super) struct Unanswered(pub(super) usize);

/// How the keeping of a frame's message ended.
struct Kept {
    frame: FrameRef,
    outcome: Result<Option<Work>, (StoreError, Option<NewMessage>)>,
}

/// Conversations that run at the same time.
const AT_ONCE: usize = 256;
/// Messages that may wait for their turn. Beyond it no frames are taken, which the gateway feels.
const WAITING: usize = 10_000;
/// Messages that may be on their way to disk.
const KEEPING: usize = 1_024;

impl Runtime {
    /// `unfinished` is what an earlier process left, in order.
    pub(super) fn new(
        stream: Arc<StreamHandle>,
        tools: Tools,
        intake: Intake,
        unfinished: Vec<Unfinished>,
    ) -> Self {
        let mut runtime = Self {
            stream,
            tools,
            intake,
            keeping: FuturesOrdered::new(),
            complained: false,
            conversations: Conversations::new(AT_ONCE),
            turns: JoinSet::new(),
            turn_of: HashMap::new(),
        };
        if !unfinished.is_empty() {
            info!(messages = unfinished.len(), "an earlier process left messages to be answered");
        }
        for message in unfinished {
            runtime.resume(message);
        }
        runtime
    }

    /// Works until the stream has ended and every answer is out, or until the `deadline` that the stop
    /// came with.
    pub(super) async fn run(
        mut self,
        mut frames: mpsc::Receiver<Dispatched>,
        deadline: watch::Receiver<Option<Instant>>,
    ) -> Unanswered {
        let mut end = std::pin::pin!(passed(deadline.clone()));
        self.start_turns();
        loop {
            let room = self.conversations.waiting() < WAITING && self.keeping.len() < KEEPING;
            tokio::select! {
                frame = frames.recv(), if room => match frame {
                    Some(dispatched) => self.take_in(dispatched).await,
                    None => break,
                },
                Some(kept) = self.keeping.next() => self.kept(kept).await,
                Some(ended) = self.turns.join_next_with_id() => self.turn_ended(&ended),
                () = &mut end => return self.unanswered(),
            }
            self.start_turns();
        }
        // A stream that ended without being asked to leaves the usual time.
        let at_most = tokio::time::sleep(DRAIN);
        tokio::pin!(at_most);
        while !(self.keeping.is_empty() && self.conversations.is_idle()) {
            tokio::select! {
                Some(kept) = self.keeping.next() => self.kept(kept).await,
                Some(ended) = self.turns.join_next_with_id() => self.turn_ended(&ended),
                () = &mut end => break,
                () = &mut at_most => break,
            }
            self.start_turns();
        }
        self.unanswered()
    }

    fn unanswered(&self) -> Unanswered {
        let unfinished = self.conversations.unfinished();
        if unfinished > 0 {
            warn!(unfinished, "stopped with answers unfinished; the next start goes on with them");
        }
        Unanswered(unfinished)
    }

    /// Queues what an earlier process did not finish.
    fn resume(&mut self, Unfinished { id, data, parts }: Unfinished) {
        let (message, task) = match BotMessage::parse(&data) {
            Ok(message) if parts.is_empty() => {
                let task = self.intake.task(&message, Instant::now());
                (message, task.ok_or("nobody may answer it any more"))
            }
            Ok(message) => (message, Ok(Task::Send(parts))),
            Err(e) => {
                // It was understood when it was taken in.
                error!("a kept message cannot be read: {e}");
                drop(self.tools.store.failed(id, e.to_string()));
                return;
            }
        };
        match task {
            Ok(task) => {
                let conversation = message.conversation_id.clone();
                self.conversations.push(conversation, Work { id, message, task });
            }
            Err(reason) => drop(self.tools.store.failed(id, reason.to_owned())),
        }
    }

    /// Judges a frame. Its ack goes out at once, or when its message is durable.
    async fn take_in(&mut self, Dispatched { frame, data_frame }: Dispatched) {
        let kept = match self.intake.judge(&data_frame, Instant::now(), now_ms()) {
            Verdict::Ack(ack) => return self.stream.ack(frame, ack).await,
            Verdict::Repeat => {
                let done = self.tools.store.barrier();
                Box::pin(async move {
                    let outcome = done.await.map(|()| None).map_err(|e| (e, None));
                    Kept { frame, outcome }
                }) as Pin<Box<dyn Future<Output = Kept> + Send>>
            }
            Verdict::Keep(keep) => {
                let (new, message, task) = *keep;
                let done = self.tools.store.take_in(new.clone());
                Box::pin(async move {
                    let outcome = match done.await {
                        Ok(id) => Ok(Some(Work { id, message, task })),
                        Err(e) => Err((e, Some(new))),
                    };
                    Kept { frame, outcome }
                })
            }
        };
        self.keeping.push_back(kept);
    }

    /// A message is durable: it is acked and queued. One that is not is left to come again.
    async fn kept(&mut self, Kept { frame, outcome }: Kept) {
        match outcome {
            Ok(work) => {
                self.complained = false;
                if let Some(work) = work {
                    self.conversations.push(work.message.conversation_id.clone(), work);
                }
                self.stream.ack(frame, Intake::accepted()).await;
            }
            Err((e, message)) => {
                if !std::mem::replace(&mut self.complained, true) {
                    error!(
                        "messages cannot be kept and are not acked, so that they come again: {e}"
                    );
                }
                if let Some(message) = message {
                    self.intake.forget(&message);
                }
            }
        }
    }

    fn start_turns(&mut self) {
        while let Some((conversation, work)) = self.conversations.start() {
            let id = self.turns.spawn(work.run(self.tools.clone())).id();
            self.turn_of.insert(id, conversation);
        }
    }

    fn turn_ended(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(e) => {
                error!(error = %e, "a turn failed; its message waits for the next start");
                e.id()
            }
        };
        if let Some(conversation) = self.turn_of.remove(&id) {
            self.conversations.finished(&conversation);
        }
    }
}

/// Waits until a deadline has been set and has passed.
async fn passed(mut deadline: watch::Receiver<Option<Instant>>) {
    let set = deadline.wait_for(Option::is_some).await.ok().and_then(|set| *set);
    match set {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        // Whoever could have set it is gone without doing so.
        None => std::future::pending().await,
    }
}
