//! One message's turn: the agent answers, the answer is kept, its parts are sent one after the other.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error};

use super::media::MediaStore;
use super::reply::Replier;
use crate::agent::{Agent, Say, Turn};
use crate::backoff::Backoff;
use crate::protocol::{BotMessage, MsgId};
use crate::store::{InboxId, OutboxId, Pending, Store, StoreError, UnsentPart};

/// A kept message and what is to be done for it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) id: InboxId,
    pub(super) message: BotMessage,
    pub(super) task: Task,
}

/// What is to be done for a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// The agent answers.
    Turn(Box<Turn>),
    /// This is said, and the agent is not asked.
    Say(String),
    /// The agent answered before a restart; this is left to be sent.
    Send(Vec<UnsentPart>),
}

/// What a turn works with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) agent: Arc<dyn Agent>,
    pub(super) replier: Arc<Replier>,
    pub(super) media: Arc<MediaStore>,
    pub(super) store: Arc<dyn Store>,
}

/// Pauses between tries of a store that fails: a full disk, most likely.
const STORE_BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

impl Work {
    /// Does it. Whatever is not finished when this is dropped is finished after the next start.
    pub(super) async fn run(self, tools: Tools) {
        let Self { id, message, task } = self;
        let parts = match task {
            Task::Send(parts) => {
                if let Some(first) = parts.first() {
                    if first.begun {
                        tools.replier.count_possible_duplicate("a restart found it half sent");
                    } else {
                        let first = first.id;
                        keep_trying(|| tools.store.begin(first)).await;
                    }
                }
                parts.into_iter().map(|part| (part.id, part.message)).collect()
            }
            Task::Say(text) => keep(&tools, id, vec![Say::text(text)]).await,
            Task::Turn(turn) => {
                let answer = ask(&tools, &message, *turn).await;
                keep(&tools, id, answer).await
            }
        };
        send(&tools, id, &message, parts).await;
    }
}

/// What the agent says, or an apology.
async fn ask(tools: &Tools, message: &BotMessage, mut turn: Turn) -> Vec<Say> {
    let robot_code = tools.replier.robot_code(message);
    tools.media.fetch(&robot_code, &mut turn.attachments).await;
    match tools.agent.turn(turn).await {
        Ok(answer) => answer,
        Err(e) => {
            error!(msg_id = message.msg_id.as_ref().map(MsgId::as_str), "the agent failed: {e}");
            vec![Say::text(FAILED)]
        }
    }
}

/// Keeps an answer before anything of it is sent.
async fn keep(tools: &Tools, id: InboxId, answer: Vec<Say>) -> Vec<(OutboxId, Say)> {
    let ids = keep_trying(|| tools.store.answered(id, answer.clone())).await;
    ids.into_iter().zip(answer).collect()
}

/// Sends the parts of an answer. One that cannot arrive ends the answer: what comes after it would
/// make no sense.
async fn send(tools: &Tools, id: InboxId, message: &BotMessage, parts: Vec<(OutboxId, Say)>) {
    let msg_id = message.msg_id.as_ref().map(MsgId::as_str);
    let mut parts = parts.into_iter().peekable();
    while let Some((part, answer)) = parts.next() {
        match tools.replier.reply(message, &answer).await {
            Ok(via) => {
                debug!(msg_id, ?via, "answered");
                let next = parts.peek().map(|(next, _)| *next);
                keep_trying(|| tools.store.sent(part, next)).await;
            }
            Err(e) => {
                error!(msg_id, "the answer did not arrive: {e}");
                let reason = e.to_string();
                keep_trying(|| tools.store.failed(id, reason.clone())).await;
                return;
            }
        }
    }
}

/// Asks the store until it succeeds: going on without it could lose a message, or answer one twice.
async fn keep_trying<T>(mut ask: impl FnMut() -> Pending<T>) -> T {
    let mut tries = 0;
    loop {
        match ask().await {
            Ok(done) => return done,
            // The process is ending.
            Err(StoreError::Closed) => return std::future::pending().await,
            Err(e) => {
                if tries == 0 {
                    error!("an answer waits for the store: {e}");
                }
                tokio::time::sleep(STORE_BACKOFF.delay(tries, rand::random())).await;
                tries = tries.saturating_add(1);
            }
        }
    }
}

/// What a person is told when the agent failed.
const FAILED: &str = "抱歉，处理消息时出错了，请稍后再试\n\
                      Sorry, something went wrong with this message; please try again later";
