//! One message's turn: the agent answers, what it says is kept, and sent one after the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::access::pairing::{Admission, Pairing, Stranger};
use super::card::Shown;
use super::cards::Cards;
use super::commands;
use super::conversations::Ticket;
use super::deliver::{Begun, Part, deliver, deliver_all};
use super::handing::Gate;
use super::listen::listen;
use super::media::MediaStore;
use super::parts::parts;
use super::peers::Peers;
use super::reply::{Question, Replier};
use super::seats::Seat;
use super::thinking::Thinking;
use crate::agent::{Agent, Attempt, Say, Turn, TurnId};
use crate::backoff::Backoff;
use crate::openapi::OpenApiClient;
use crate::protocol::BotMessage;
use crate::store::inbox::STOPPED;
use crate::store::replicas::Bucket;
use crate::store::{InboxId, Pending, Said, SaidPart, Store, StoreError, UnsentPart};
use crate::traces::Over;

/// A kept message and what is to be done for it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) id: InboxId,
    /// When it came, in milliseconds since 1970 UTC.
    pub(super) received_at: i64,
    pub(super) message: BotMessage,
    pub(super) task: Task,
    /// Its mark, which goes when the work is done.
    pub(super) thinking: Option<Thinking>,
    /// Its seat among those that wait, until it begins.
    pub(super) seat: Option<Seat>,
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
        /// `seq` of the last event that was kept.
        seq: u64,
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

/// Tells the queue, once, that the agent has got a turn.
pub(super) struct Opened(mpsc::Sender<Ticket>, Ticket);

impl Opened {
    pub(super) fn new(queue: &mpsc::Sender<Ticket>, ticket: Ticket) -> Self {
        Self(queue.clone(), ticket)
    }

    /// The next turn of the conversation cannot overtake this one any more.
    pub(super) async fn tell(self) {
        // The queue is gone when everything stops.
        let _ = self.0.send(self.1).await;
    }
}

/// What a turn works with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) agent: Arc<dyn Agent>,
    pub(super) replier: Arc<Replier>,
    pub(super) media: Arc<MediaStore>,
    pub(super) store: Arc<dyn Store>,
    /// With what messages are marked while they are answered, if they are.
    pub(super) thinker: Option<Arc<OpenApiClient>>,
    pub(super) cards: Arc<Cards>,
    pub(super) pairing: Arc<Pairing>,
    pub(super) peers: Arc<Peers>,
    pub(super) gate: Arc<Gate>,
    /// Where messages that are over are told, if traces are exported.
    pub(super) traces: Option<Over>,
    /// After which time people hear that their message waits, if they do.
    pub(super) queued_after: Option<Duration>,
}

/// Pauses between tries of a store that fails: a full disk, most likely.
const STORE_BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// Why something cannot go on, and nothing more is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Halt {
    /// The store has ended, which outside of a stop only a defect does to it: nothing can go on.
    #[error("the store ended, so that nothing can be kept any more")]
    StoreGone,
    /// The conversation is another process's, or may be.
    #[error("another process works on the conversation")]
    NotMine,
}

/// Parts of an answer that are kept and wait to be sent, while the agent goes on.
const AHEAD: usize = 64;

impl Tools {
    /// A message is over, and that is durable.
    pub(super) fn trace(&self, message: InboxId) {
        if let Some(traces) = &self.traces {
            traces.tell(message);
        }
    }
}

impl Task {
    /// Whether it overtakes what waits in its chat.
    pub(super) fn overtakes(&self, agent: &dyn Agent) -> bool {
        self.command(agent).is_some_and(|ours| ours.is_stop() || ours.is_aside())
    }

    fn command<'a>(&self, agent: &'a dyn Agent) -> Option<commands::Ours<'a>> {
        self.turn().and_then(|turn| commands::of(agent, turn))
    }

    fn turn(&self) -> Option<&Turn> {
        match self {
            Self::Turn(turn) | Self::Resume { turn, .. } => Some(turn),
            Self::Say(_) | Self::Pair { .. } | Self::Send(_) => None,
        }
    }
}

impl Work {
    /// Which of the processes at the robot works on it.
    pub(super) fn bucket(&self) -> Bucket {
        Bucket::of(&self.message.conversation_id)
    }

    /// Whether it is a `/stop` that the connector answers.
    pub(super) fn is_stop(&self, agent: &dyn Agent) -> bool {
        self.task.command(agent).is_some_and(|ours| ours.is_stop())
    }

    /// Whether it is a command that is answered beside the turn that runs.
    pub(super) fn is_aside(&self, agent: &dyn Agent) -> bool {
        self.task.command(agent).is_some_and(|ours| ours.is_aside())
    }

    /// Whether a `/stop` takes it out of the queue: the agent is to answer it.
    pub(super) fn can_be_stopped(&self, agent: &dyn Agent) -> bool {
        self.task.turn().is_some() && self.task.command(agent).is_none()
    }

    /// Does it. Whatever is not finished when this is dropped is finished after the next start. `stop`
    /// ends the agent's turn; what it has said is sent.
    pub(super) async fn run(
        self,
        tools: Tools,
        opened: Opened,
        stop: oneshot::Receiver<()>,
    ) -> Result<(), Halt> {
        let Self { id, received_at, message, task, thinking: _until_the_end, seat } = self;
        drop(seat);
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
            let nothing = Spoken { says: Vec::new(), seq: None, begun: false, ended: true };
            return keep(&tools, id, nothing).await.map(drop);
        };
        let new = |resumed, said, seq| Attempt { turn: TurnId(id.number()), resumed, said, seq };
        let (attempt, turn, earlier) = match task {
            Task::Turn(turn) => (new(false, 0, 0), turn, Vec::new()),
            Task::Resume { turn, parts, said, seq } => (new(true, said, seq), turn, parts),
            // Nothing is under way that could be stopped.
            Task::Send(parts) => {
                drop(stop);
                opened.tell().await;
                return deliver_all(&tools, &question, id, earlier(parts)).await;
            }
            Task::Say(text) => {
                drop(stop);
                opened.tell().await;
                return say(&tools, &question, id, text).await;
            }
            // What a paired person's message asks for is no pairing.
            Task::Pair { .. } => return Ok(()),
        };
        let mut stop = Box::pin(asked(stop));
        if attempt.said == 0
            && let Some(command) = commands::of(&*tools.agent, &turn)
        {
            let text = tokio::select! {
                text = command.answer(&turn, message.sender_id.as_ref()) => text,
                () = &mut stop => return fail(&tools, id).await,
            };
            drop(stop);
            return say(&tools, &question, id, text).await;
        }
        let (kept, parts) = mpsc::channel(AHEAD);
        let (shown, words) = watch::channel(Shown::Nothing);
        let stopped = shown.clone();
        let listening = listen(&tools, &message, id, (attempt, *turn), (opened, kept), shown);
        let mut listening = Box::pin(listening);
        let earlier = self::earlier(earlier);
        let mut delivering = pin!(deliver(&tools, &question, id, earlier, (parts, words)));
        tokio::select! {
            // All is said, and nothing is left to be stopped.
            outcome = &mut listening => {
                drop(stop);
                outcome?;
                delivering.await
            }
            // A part could not arrive: what the agent goes on to say makes no sense any more.
            outcome = &mut delivering => outcome,
            () = &mut stop => {
                // The agent's future, and the only way to say more.
                drop(listening);
                stopped.send_modify(|shown| {
                    let words = match std::mem::replace(shown, Shown::Nothing) {
                        Shown::Words(words) | Shown::Stopped(words) => words,
                        Shown::Nothing => String::new(),
                    };
                    *shown = Shown::Stopped(words);
                });
                let nothing = Spoken { says: Vec::new(), seq: None, begun: false, ended: true };
                keep(&tools, id, nothing).await?;
                delivering.await?;
                fail(&tools, id).await
            }
        }
    }
}

/// Says one thing.
async fn say(
    tools: &Tools,
    question: &Question<'_>,
    id: InboxId,
    text: String,
) -> Result<(), Halt> {
    let says = vec![Say::text(text)];
    let parts = keep(tools, id, Spoken { says, seq: None, begun: true, ended: true }).await?;
    deliver_all(tools, question, id, parts).await
}

/// The turn was stopped.
async fn fail(tools: &Tools, id: InboxId) -> Result<(), Halt> {
    keep_trying(|| tools.store.failed(id, STOPPED.to_owned())).await
}

/// Ready when a turn is to be stopped.
async fn asked(stop: oneshot::Receiver<()>) {
    if stop.await.is_err() {
        // Whoever could have asked is gone, and everything ends in another way.
        std::future::pending::<()>().await;
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

/// What an agent has just said.
#[derive(Debug)]
pub(super) struct Spoken {
    /// In this order, of any length.
    pub(super) says: Vec<Say>,
    /// `seq` of the agent's last event up to here, where it counts them.
    pub(super) seq: Option<u64>,
    /// The first of them is about to be sent.
    pub(super) begun: bool,
    /// The turn has ended: nothing follows.
    pub(super) ended: bool,
}

/// Keeps a piece of an answer before anything of it is sent, as the messages that will be sent: a
/// restart sends the same ones.
pub(super) async fn keep(
    tools: &Tools,
    id: InboxId,
    Spoken { says, seq, begun, ended }: Spoken,
) -> Result<Vec<Part>, Halt> {
    let parts = says.into_iter().flat_map(|say| {
        let parts = parts(say).into_iter().enumerate();
        parts.map(|(index, say)| SaidPart { say, continues: index > 0 })
    });
    let begun = begun && !tools.gate.closes();
    let said = Said { parts: parts.collect(), seq, begun, ended };
    let ids = keep_trying(|| tools.store.said(id, said.clone())).await?;
    let begun = |index| if said.begun && index == 0 { Begun::Now } else { Begun::No };
    let parts = ids.into_iter().zip(said.parts).enumerate();
    Ok(parts
        .map(|(index, (id, SaidPart { say, .. }))| Part { id, say, begun: begun(index) })
        .collect())
}

/// Asks the store until it succeeds: going on without it could lose a message, or answer one twice.
pub(super) async fn keep_trying<T>(mut ask: impl FnMut() -> Pending<T>) -> Result<T, Halt> {
    let mut tries = 0;
    loop {
        match ask().await {
            Ok(done) => return Ok(done),
            Err(StoreError::Closed) => return Err(Halt::StoreGone),
            Err(StoreError::NotMine) => return Err(Halt::NotMine),
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
