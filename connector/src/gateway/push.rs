//! Messages that answer nothing: to people and groups, by the robot API.
//!
//! A push is sent while its caller waits, and each recipient gets an outcome of its own. What fails is tried
//! a few times and then reported: nothing is left to be sent later.

mod card;
mod once;
mod send;
mod sent;
mod target;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

pub use self::sent::{Readers, SentError};
pub use self::target::{Target, TargetError};

use self::once::{Once, digest};
use super::cards::Cards;
use super::parts::parts;
use super::peers::Peers;
use super::persist::{Failing, GivenUp, Prospect};
use super::reply::{FileError, FileProblem, Replier};
use super::upload;
use crate::agent::Say;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{RobotCode, RobotMessage};
use crate::store::Store;

/// What is to be sent, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// At most [`RECIPIENTS`]; each gets it once.
    pub to: Vec<Target>,
    /// What each gets.
    pub what: What,
    /// A push with the key of an earlier one is not sent again.
    pub key: Option<String>,
}

/// One thing that is pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum What {
    /// A message, of any length, or a file.
    Say(Say),
    /// An AI card with this Markdown, finished. At most [`CARD`] bytes. Where the app may not use cards it is
    /// a message.
    Card(String),
}

/// Recipients of one push.
pub const RECIPIENTS: usize = 1_000;
/// Words of a card, in bytes: as for cards that answer.
pub const CARD: usize = 15_000;

/// What became of a push at one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The recipient.
    pub to: Target,
    /// How it ended.
    pub outcome: Outcome,
    /// `processQueryKey` of each message that arrived, in order: for recall and read status, for 24 h. A card
    /// has none.
    pub process_query_keys: Vec<String>,
    /// How many messages it is; a long text is several.
    pub parts: usize,
}

/// How a push ended at one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// DingTalk took all of it.
    Delivered {
        /// Names the card, where it is one.
        out_track_id: Option<String>,
    },
    /// DingTalk does not know the recipient, or it may not see the robot.
    Invalid,
    /// DingTalk's own limit for the recipient is reached; it may be sent later.
    FlowControlled,
    /// Our limit for the recipient is reached, and nothing was sent.
    Limited {
        /// When it may be sent again.
        retry_after: Duration,
    },
    /// It could not be sent.
    Failed {
        /// Why.
        reason: String,
        /// A try of it may have arrived.
        may_have_arrived: bool,
        /// Nothing of it arrived, and it may when time has passed: the network is away, a limit is reached.
        #[serde(default)]
        later: bool,
    },
}

/// A push that was not even tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The same key came with something else.
    #[error("key is {0:?}, which was used for another message; give each message a key of its own")]
    KeyReused(String),
    /// The push with this key is being sent.
    #[error("key is {0:?}, whose message is being sent; ask again in a moment")]
    UnderWay(String),
    /// The process ended while the push with this key was being sent.
    #[error(
        "key is {0:?}, whose message a restart interrupted, so that it may have arrived; give another key to send it again"
    )]
    Interrupted(String),
    /// The key cannot be kept.
    #[error("the key cannot be kept, and nothing was sent: {0}")]
    NotKept(String),
    /// A card has more bytes than DingTalk takes.
    #[error("card has {0} bytes; give at most {CARD}, or markdown, which is sent in parts")]
    TooLong(usize),
}

/// What became of it, recipient by recipient.
pub type Deliveries = Vec<Delivery>;

/// Sends pushes of one robot.
#[derive(Debug)]
pub struct Pusher {
    client: Arc<OpenApiClient>,
    replier: Arc<Replier>,
    store: Arc<dyn Store>,
    cards: Arc<Cards>,
    peers: Arc<Peers>,
    once: Once,
}

impl Pusher {
    pub(super) fn new(
        client: Arc<OpenApiClient>,
        replier: Arc<Replier>,
        store: Arc<dyn Store>,
        cards: Arc<Cards>,
        peers: Arc<Peers>,
    ) -> Self {
        let once = Once::new(client.credential().client_id.clone(), Arc::clone(&store));
        Self { client, replier, store, cards, peers, once }
    }

    /// Sends. To be run to its end, so that the outcome is known to whoever asks again by the same key;
    /// keys are remembered for 7 days.
    pub async fn push(&self, push: Push) -> Result<Deliveries, PushError> {
        if let What::Card(text) = &push.what
            && text.len() > CARD
        {
            return Err(PushError::TooLong(text.len()));
        }
        let Some(key) = push.key.clone() else { return Ok(self.send(push).await) };
        let digest = digest(&push).await;
        let under_way = match self.once.begin(key, digest).await? {
            once::Begun::Before(deliveries) => return Ok(deliveries),
            once::Begun::Now(under_way) => under_way,
        };
        let deliveries = self.send(push).await;
        under_way.end(&deliveries).await;
        Ok(deliveries)
    }

    async fn send(&self, Push { to, what, .. }: Push) -> Deliveries {
        let to = self.peers.exactly(to).await;
        let mut known = HashSet::new();
        let to: Vec<_> = to.into_iter().filter(|target| known.insert(target.clone())).collect();
        let (messages, card) = match what {
            What::Say(say) => (parts(say), None),
            What::Card(text) => (Vec::new(), Some(text)),
        };
        let count = messages.len().max(1);
        let (mut deliveries, mut allowed) = (Vec::with_capacity(to.len()), Vec::new());
        for target in to {
            match self.replier.send_limit().take(&target, count, Instant::now()) {
                Ok(()) => allowed.push(target),
                Err(retry_after) => {
                    warn!(%target, "a push is refused: too many to one recipient; does an agent loop?");
                    let outcome = Outcome::Limited { retry_after };
                    deliveries.push(Delivery::none(target, outcome, count));
                }
            }
        }
        if !allowed.is_empty() {
            deliveries.extend(match card {
                Some(text) => self.send_cards(allowed, &text).await,
                None => self.send_messages(allowed, messages).await,
            });
        }
        let delivered = deliveries.iter().filter(|d| d.is_delivered()).count();
        info!(delivered, of = deliveries.len(), "pushed");
        deliveries
    }

    /// A file is uploaded once, for all.
    async fn message(&self, say: &Say) -> Result<RobotMessage, Outcome> {
        let uploaded = upload::message(&self.client, NOW, say).await;
        uploaded.map_err(|FileError { problem, detail, .. }| {
            let reason = format!("{problem}: {detail}");
            error!("a push cannot be sent: {reason}");
            // Nobody saw anything of it, whatever became of the file.
            let later = problem == FileProblem::NotNow;
            Outcome::Failed { reason, may_have_arrived: false, later }
        })
    }

    fn repeats(&self, e: &OpenApiError) {
        self.replier.count_possible_duplicate(&e.to_string());
    }

    fn robot_code(&self) -> RobotCode {
        RobotCode::new(self.client.credential().client_id.as_str())
    }
}

impl Delivery {
    fn none(to: Target, outcome: Outcome, parts: usize) -> Self {
        Self { to, outcome, process_query_keys: Vec::new(), parts }
    }

    /// Whether all of it arrived.
    pub fn is_delivered(&self) -> bool {
        matches!(self.outcome, Outcome::Delivered { .. })
    }
}

/// A push answers nothing, so that nothing of it is young enough to wait for a day: a few tries are all.
const NOW: i64 = 0;

fn failed(GivenUp { error, may_have_arrived }: &GivenUp<OpenApiError>) -> Outcome {
    let may_have_arrived = *may_have_arrived;
    let later = error.prospect() == Prospect::Later && !may_have_arrived;
    Outcome::Failed { reason: error.to_string(), may_have_arrived, later }
}
