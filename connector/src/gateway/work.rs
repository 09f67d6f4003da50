//! One message's turn: the agent answers, what it says is kept, and sent one after the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::error;

use super::access::pairing::{Admission, Pairing, Stranger};
use super::deliver::{Begun, Part, deliver, deliver_all};
use super::listen::listen;
use super::media::MediaStore;
use super::reply::{Question, Replier};
use crate::agent::{Agent, Attempt, Say, Turn, TurnId};
use crate::backoff::Backoff;
use crate::protocol::BotMessage;
use crate::store::{InboxId, Pending, Said, Store, StoreError, UnsentPart};

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
    /// The agent had begun to answer before a restart: what is left of that is sent, and it goes on.
    Resume {
        /// The message.
        turn: Box<Turn>,
        /// What is left to be sent.
        parts: Vec<UnsentPart>,
        /// How many things it had said.
        said: u64,
    },
    /// This is said, and the agent is not asked.
    Say(String),
    /// Whether anything is done depends on whether the sender was paired by now.
    Pair {
        /// The sender.
        stranger: Stranger,
        /// What is done then.
        then: Option<Box<Task>>,
    },
    /// The agent had answered before a restart; this is left to be sent.
    Send(Vec<UnsentPart>),
}

/// What a turn works with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) agent: Arc<dyn Agent>,
    pub(super) replier: Arc<Replier>,
    pub(super) media: Arc<MediaStore>,
    pub(super) store: Arc<dyn Store>,
    pub(super) pairing: Arc<Pairing>,
}

/// Pauses between tries of a store that fails: a full disk, most likely.
const STORE_BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// The store has ended, which outside of a stop only a defect does to it: nothing can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store ended, so that nothing can be kept any more")]
pub(super) struct StoreGone;

/// Parts of an answer that are kept and wait to be sent, while the agent goes on.
const AHEAD: usize = 64;

impl Work {
    /// Does it. Whatever is not finished when this is dropped is finished after the next start.
    pub(super) async fn run(self, tools: Tools) -> Result<(), StoreGone> {
        let Self { id, received_at, message, task } = self;
        let question = Question { message: &message, received_at };
        let task = match task {
            Task::Pair { stranger, then } => match tools.pairing.ask(&message, &stranger).await? {
                Admission::Paired => then.map(|task| *task),
                Admission::Say(hint) => Some(Task::Say(hint)),
                Admission::Quiet => None,
            },
            task => Some(task),
        };
        let Some(task) = task else {
            let nothing = Said { parts: Vec::new(), begun: false, ended: true };
            return keep(&tools, id, nothing).await.map(drop);
        };
        let new = |resumed, said| Attempt { turn: TurnId(id.number()), resumed, said };
        let (attempt, turn, earlier) = match task {
            Task::Turn(turn) => (new(false, 0), turn, Vec::new()),
            Task::Resume { turn, parts, said } => (new(true, said), turn, parts),
            Task::Send(parts) => return deliver_all(&tools, &question, id, earlier(parts)).await,
            Task::Say(text) => {
                let said = Said { parts: vec![Say::text(text)], begun: true, ended: true };
                let parts = keep(&tools, id, said).await?;
                return deliver_all(&tools, &question, id, parts).await;
            }
            // What a paired person's message asks for is no pairing.
            Task::Pair { .. } => return Ok(()),
        };
        let (kept, parts) = mpsc::channel(AHEAD);
        let mut listening = pin!(listen(&tools, &message, id, (attempt, *turn), kept));
        let earlier = self::earlier(earlier);
        let mut delivering = pin!(deliver(&tools, &question, id, earlier, parts));
        tokio::select! {
            // All is said.
            outcome = &mut listening => {
                outcome?;
                delivering.await
            }
            // A part could not arrive: what the agent goes on to say makes no sense any more.
            outcome = &mut delivering => outcome,
        }
    }
}

/// What an earlier process left.
fn earlier(parts: Vec<UnsentPart>) -> Vec<Part> {
    let part = |UnsentPart { id, message, begun }: UnsentPart| Part {
        id,
        say: message,
        begun: if begun { Begun::Earlier } else { Begun::No },
    };
    parts.into_iter().map(part).collect()
}

/// Keeps a piece of an answer before anything of it is sent.
pub(super) async fn keep(tools: &Tools, id: InboxId, said: Said) -> Result<Vec<Part>, StoreGone> {
    let ids = keep_trying(|| tools.store.said(id, said.clone())).await?;
    let begun = |index| if said.begun && index == 0 { Begun::Now } else { Begun::No };
    let parts = ids.into_iter().zip(said.parts).enumerate();
    Ok(parts.map(|(index, (id, say))| Part { id, say, begun: begun(index) }).collect())
}

/// Asks the store until it succeeds: going on without it could lose a message, or answer one twice.
pub(super) async fn keep_trying<T>(mut ask: impl FnMut() -> Pending<T>) -> Result<T, StoreGone> {
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
