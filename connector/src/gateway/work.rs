//! One message's turn: the agent answers, the answer is kept, its parts are sent one after the other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::{debug, error};

use super::media::MediaStore;
use super::reply::{Question, Replier, ReplyError};
use crate::agent::{Agent, AgentError, Say, Turn};
use crate::backoff::Backoff;
use crate::protocol::{BotMessage, MsgId};
use crate::store::{InboxId, OutboxId, Pending, Store, StoreError, UnsentPart};

/// A kept message and what is to be done for it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) id: InboxId,
    /// When it came, in milliseconds since 1970 UTC.
    pub(super) received_at: i64,
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

/// The store has ended, which outside of a stop only a defect does to it: nothing can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store ended, so that nothing can be kept any more")]
pub(super) struct StoreGone;

impl Work {
    /// Does it. Whatever is not finished when this is dropped is finished after the next start.
    pub(super) async fn run(self, tools: Tools) -> Result<(), StoreGone> {
        let Self { id, received_at, message, task } = self;
        let parts = match task {
            Task::Send(parts) => {
                if let Some(first) = parts.first() {
                    if first.begun {
                        tools.replier.count_possible_duplicate("a restart found it half sent");
                    } else {
                        let first = first.id;
                        keep_trying(|| tools.store.begin(first)).await?;
                    }
                }
                parts.into_iter().map(|part| (part.id, part.message)).collect()
            }
            Task::Say(text) => keep(&tools, id, vec![Say::text(text)]).await?,
            Task::Turn(turn) => {
                let answer = ask(&tools, &message, *turn).await;
                keep(&tools, id, answer).await?
            }
        };
        send(&tools, id, &Question { message: &message, received_at }, parts).await
    }
}

/// What the agent says, or an apology.
async fn ask(tools: &Tools, message: &BotMessage, mut turn: Turn) -> Vec<Say> {
    let robot_code = tools.replier.robot_code(message);
    tools.media.fetch(&robot_code, &mut turn.attachments).await;
    match answer(&*tools.agent, turn).await {
        Ok(answer) => answer,
        Err(failure) => {
            let msg_id = message.msg_id.as_ref().map(MsgId::as_str);
            error!(msg_id, "the agent failed: {failure}");
            vec![Say::text(FAILED)]
        }
    }
}

/// What the agent says; a panic of its is one more way to fail.
async fn answer(agent: &dyn Agent, turn: Turn) -> Result<Vec<Say>, AgentError> {
    let turn = AssertUnwindSafe(async { agent.turn(turn).await });
    // What it panicked with is on stderr.
    let outcome = turn.catch_unwind().await;
    outcome.unwrap_or_else(|_| Err(AgentError("it panicked".to_owned())))
}

/// Keeps an answer before anything of it is sent.
async fn keep(
    tools: &Tools,
    id: InboxId,
    answer: Vec<Say>,
) -> Result<Vec<(OutboxId, Say)>, StoreGone> {
    let ids = keep_trying(|| tools.store.answered(id, answer.clone())).await?;
    Ok(ids.into_iter().zip(answer).collect())
}

/// Sends the parts of an answer. Instead of a file that cannot be sent some words go out; any other
/// part that cannot arrive ends the answer: what comes after it would make no sense.
async fn send(
    tools: &Tools,
    id: InboxId,
    question: &Question<'_>,
    parts: Vec<(OutboxId, Say)>,
) -> Result<(), StoreGone> {
    let msg_id = question.message.msg_id.as_ref().map(MsgId::as_str);
    let mut parts = parts.into_iter().peekable();
    while let Some((part, answer)) = parts.next() {
        let outcome = match tools.replier.reply(question, &answer).await {
            Err(ReplyError::File { name, problem, detail }) => {
                error!(msg_id, name, "a file cannot be sent: {problem}: {detail}");
                let instead = Say::text(problem.for_people(&name));
                tools.replier.reply(question, &instead).await
            }
            outcome => outcome,
        };
        match outcome {
            Ok(via) => {
                debug!(msg_id, ?via, "answered");
                let next = parts.peek().map(|(next, _)| *next);
                keep_trying(|| tools.store.sent(part, next)).await?;
            }
            Err(e) => {
                error!(msg_id, "the answer did not arrive: {e}");
                let reason = e.to_string();
                return keep_trying(|| tools.store.failed(id, reason.clone())).await;
            }
        }
    }
    Ok(())
}

/// Asks the store until it succeeds: going on without it could lose a message, or answer one twice.
async fn keep_trying<T>(mut ask: impl FnMut() -> Pending<T>) -> Result<T, StoreGone> {
    let mut tries = 0;
    loop {
        match ask().await {
            Ok(done) => return Ok(done),
            Err(StoreError::Closed) => return Err(StoreGone),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Answer;
    use crate::protocol::ConversationId;

    /// Panics before or after it has begun.
    struct Clumsy(bool);

    impl Agent for Clumsy {
        fn turn(&self, _: Turn) -> Answer<'_> {
            assert!(self.0, "at once");
            Box::pin(async { panic!("on the way") })
        }
    }

    #[tokio::test]
    async fn an_agent_that_panics_has_failed() {
        for begins in [false, true] {
            let turn = Turn {
                conversation_id: ConversationId::new("cid"),
                sender_nick: None,
                text: "hi".to_owned(),
                has_words: true,
                attachments: Vec::new(),
                quote: None,
            };
            let outcome = answer(&Clumsy(begins), turn).await;
            assert_eq!(outcome, Err(AgentError("it panicked".to_owned())));
        }
    }
}
