//! Messages that answer nothing: to people and groups, by the robot API.
//!
//! A push is sent while its caller waits, and each recipient gets an outcome of its own. What fails is tried
//! a few times and then reported: nothing is left to be sent later.

mod limit;
mod once;
mod target;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

pub use self::target::{Target, TargetError};

use self::limit::SendLimit;
use self::once::Once;
use super::persist::{Failing, persist};
use super::reply::{Replier, ReplyError};
use super::upload;
use crate::agent::Say;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{ConversationId, RobotCode, RobotMessage, SenderStaffId};

/// What is to be sent, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// At most [`RECIPIENTS`]; each gets it once.
    pub to: Vec<Target>,
    /// One message or file.
    pub say: Say,
    /// A push with the key of an earlier one is not sent again.
    pub key: Option<String>,
}

/// Recipients of one push.
pub const RECIPIENTS: usize = 1_000;
/// People that one call of `batchSend` reaches.
const BATCH: usize = 20;
/// `msgParam` has so many bytes at most.
const MSG_PARAM: usize = 15_000;

/// What became of a push at one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// DingTalk took it.
    Delivered {
        /// Names the message for recall and read status, for 24 h.
        process_query_key: String,
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
    /// It has more bytes than DingTalk takes.
    #[error("the message has {0} bytes as msgParam; give at most {MSG_PARAM}")]
    TooLong(usize),
}

/// What became of it, recipient by recipient.
pub type Outcomes = Vec<(Target, Outcome)>;

/// Sends pushes of one robot.
#[derive(Debug)]
pub struct Pusher {
    client: Arc<OpenApiClient>,
    replier: Arc<Replier>,
    limit: Mutex<SendLimit>,
    once: Mutex<Once>,
}

impl Pusher {
    pub(super) fn new(client: Arc<OpenApiClient>, replier: Arc<Replier>) -> Self {
        let (limit, once) = (Mutex::new(SendLimit::default()), Mutex::default());
        Self { client, replier, limit, once }
    }

    /// Sends. To be run to its end, so that the outcome is known to whoever asks again by the same key;
    /// keys are remembered as long as the process lives, the last 1,024 of them.
    pub async fn push(&self, push: Push) -> Result<Outcomes, PushError> {
        if let Say::Message(message) = &push.say {
            let length = message.msg_param().len();
            if length > MSG_PARAM {
                return Err(PushError::TooLong(length));
            }
        }
        let Some(key) = push.key.clone() else { return Ok(self.send(push).await) };
        if let Some(outcomes) = locked(&self.once).begin(&push)? {
            return Ok(outcomes);
        }
        let outcomes = self.send(push).await;
        locked(&self.once).end(&key, outcomes.clone());
        Ok(outcomes)
    }

    async fn send(&self, Push { to, say, .. }: Push) -> Outcomes {
        let mut outcomes = Vec::with_capacity(to.len());
        let (mut people, mut groups) = (Vec::new(), Vec::new());
        let mut known = HashSet::new();
        for target in to.into_iter().filter(|target| known.insert(target.clone())) {
            let allowed = locked(&self.limit).take(&target, Instant::now());
            match (allowed, target) {
                (Err(retry_after), target) => {
                    warn!(%target, "a push is refused: too many to one recipient; does an agent loop?");
                    outcomes.push((target, Outcome::Limited { retry_after }));
                }
                (Ok(()), Target::User(user)) => people.push(user),
                (Ok(()), Target::Chat(group)) => groups.push(group),
            }
        }
        if people.is_empty() && groups.is_empty() {
            return outcomes;
        }
        let message = match self.message(say).await {
            Ok(message) => message,
            Err(failed) => {
                let people = people.into_iter().map(Target::User);
                let all = people.chain(groups.into_iter().map(Target::Chat));
                outcomes.extend(all.map(|target| (target, failed.clone())));
                return outcomes;
            }
        };
        for batch in people.chunks(BATCH) {
            outcomes.extend(self.send_to_people(batch, &message).await);
        }
        for group in groups {
            let outcome = self.send_to_group(&group, &message).await;
            outcomes.push((Target::Chat(group), outcome));
        }
        let delivered =
            outcomes.iter().filter(|(_, o)| matches!(o, Outcome::Delivered { .. })).count();
        info!(delivered, of = outcomes.len(), "pushed");
        outcomes
    }

    /// A file is uploaded once, for all.
    async fn message(&self, say: Say) -> Result<RobotMessage, Outcome> {
        let uploaded = upload::message(&self.client, NOW, &say).await;
        uploaded.map_err(|e| {
            let reason = match e {
                ReplyError::File { problem, detail, .. } => format!("{problem}: {detail}"),
                e => e.to_string(),
            };
            Outcome::Failed { reason, may_have_arrived: false }
        })
    }

    async fn send_to_people(&self, batch: &[SenderStaffId], message: &RobotMessage) -> Outcomes {
        let robot_code = self.robot_code();
        let send = || self.client.batch_send(&robot_code, batch, message);
        let outcome = persist(NOW, send, |e| self.repeats(e)).await;
        let of = |user: &SenderStaffId| match &outcome {
            Err(e) => failed(e),
            Ok(done) if done.invalid_staff_ids.iter().any(|id| id == user.as_str()) => {
                Outcome::Invalid
            }
            Ok(done) if done.flow_controlled_staff_ids.iter().any(|id| id == user.as_str()) => {
                Outcome::FlowControlled
            }
            Ok(done) => Outcome::Delivered { process_query_key: done.process_query_key.clone() },
        };
        batch.iter().map(|user| (Target::User(user.clone()), of(user))).collect()
    }

    async fn send_to_group(&self, group: &ConversationId, message: &RobotMessage) -> Outcome {
        let robot_code = self.robot_code();
        let send = || self.client.group_send(&robot_code, group, message);
        match persist(NOW, send, |e| self.repeats(e)).await {
            Ok(process_query_key) => Outcome::Delivered { process_query_key },
            Err(e) => failed(&e),
        }
    }

    fn repeats(&self, e: &OpenApiError) {
        self.replier.count_possible_duplicate(&e.to_string());
    }

    fn robot_code(&self) -> RobotCode {
        RobotCode::new(self.client.credential().client_id.as_str())
    }
}

/// A push answers nothing, so that nothing of it is young enough to wait for a day: a few tries are all.
const NOW: i64 = 0;

fn failed(e: &OpenApiError) -> Outcome {
    use super::persist::Prospect;
    let may_have_arrived = e.prospect() == Prospect::Unclear;
    Outcome::Failed { reason: e.to_string(), may_have_arrived }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing is left half done by a panic within.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
