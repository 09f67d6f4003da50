//! Brings an answer to where the question came from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::persist::{Failing, Prospect, persist};
use super::send_limit::SendLimit;
use super::upload;
use crate::agent::Say;
use crate::credential::ClientId;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{
    BotMessage, ConversationId, ConversationType, ProcessQueryKey, RobotCode, RobotMessage,
    SenderStaffId,
};
use crate::store::inbox::Via;

/// Sends replies: through the message's `sessionWebhook` while it lives, else through the robot API.
#[derive(Debug)]
pub(super) struct Replier {
    client: Arc<OpenApiClient>,
    possible_duplicates: AtomicU64,
    limit: Mutex<SendLimit>,
}

/// A message that is answered.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) message: &'a BotMessage,
    /// When it came, in milliseconds since 1970 UTC.
    pub(super) received_at: i64,
}

/// A reply that was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) via: Via,
    /// What names it from now on; the webhook gives no name.
    pub(super) process_query_key: Option<ProcessQueryKey>,
}

/// Why a reply did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplyError {
    /// The API said no, or nothing, for good.
    #[error(transparent)]
    Api(#[from] OpenApiError),
    /// Nothing is left to send to.
    #[error("the sessionWebhook is {webhook}, and {otherwise}")]
    NoAddress {
        /// What became of the webhook.
        webhook: &'static str,
        /// Why the robot API cannot help.
        otherwise: &'static str,
    },
    /// A file cannot be sent, whatever becomes of the rest.
    #[error(transparent)]
    File(#[from] FileError),
    /// The webhook is dead, or will be in a moment.
    #[error("the sessionWebhook has expired")]
    WebhookExpired,
    /// The server took the message for nobody.
    #[error(
        "DingTalk did not deliver to user {user}: it does not exist or may not see the robot (invalidStaffIdList)"
    )]
    NotDelivered {
        /// `senderStaffId`.
        user: String,
    },
    /// The user has had too many messages for now.
    #[error(
        "DingTalk did not deliver to user {user}: too many messages (flowControlledStaffIdList)"
    )]
    FlowControlled {
        /// `senderStaffId`.
        user: String,
    },
}

impl Failing for ReplyError {
    fn prospect(&self) -> Prospect {
        match self {
            Self::Api(e) => e.prospect(),
            Self::FlowControlled { .. } => Prospect::Later,
            Self::NoAddress { .. }
            | Self::File(_)
            | Self::WebhookExpired
            | Self::NotDelivered { .. } => Prospect::Never,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api(e) => e.retry_after(),
            _ => None,
        }
    }
}

/// A file cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("the file {name} cannot be sent: {problem}: {detail}")]
pub(super) struct FileError {
    /// Its shown name.
    pub(super) name: String,
    /// Why, for anybody.
    pub(super) problem: FileProblem,
    /// Why, for the operator.
    pub(super) detail: String,
}

/// What keeps a file from being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileProblem {
    /// It is not there, or may not be read.
    #[error("it cannot be read")]
    Unreadable,
    /// DingTalk refuses empty files.
    #[error("it is empty")]
    Empty,
    /// It has more bytes than DingTalk takes.
    #[error("it is larger than DingTalk takes")]
    TooLarge,
    /// DingTalk does not take it.
    #[error("DingTalk refused it")]
    Refused,
    /// Uploads fail for now.
    #[error("DingTalk does not take it at the moment")]
    NotNow,
}

impl FileProblem {
    /// What is said in the place of the file.
    pub(super) fn for_people(self, name: &str) -> String {
        let chinese = match self {
            Self::Unreadable => "读取失败",
            Self::Empty => "文件为空",
            Self::TooLarge => "文件太大",
            Self::Refused => "钉钉拒收",
            Self::NotNow => "钉钉暂时无法接收",
        };
        format!("文件发送失败（{name}）：{chinese}\nThe file {name} could not be sent: {self}")
    }
}

/// A chat as the robot API names it.
#[derive(Debug, Clone, Copy)]
enum Address<'a> {
    User(&'a SenderStaffId),
    Group(&'a ConversationId),
}

/// A webhook this near to its end counts as dead.
const WEBHOOK_MARGIN: Duration = Duration::from_secs(5 * 60);

impl Replier {
    pub(super) fn new(client: Arc<OpenApiClient>) -> Self {
        Self { client, possible_duplicates: AtomicU64::new(0), limit: Mutex::default() }
    }

    /// The app that answers.
    pub(super) fn client_id(&self) -> &ClientId {
        &self.client.credential().client_id
    }

    /// Says one thing in answer to a question, in the chat that it was asked in.
    pub(super) async fn reply(
        &self,
        question: &Question<'_>,
        answer: &Say,
    ) -> Result<Receipt, ReplyError> {
        match answer {
            Say::Message(message) => self.reply_with(question, message).await,
            file => {
                let message = upload::message(&self.client, question.received_at, file).await?;
                self.reply_with(question, &message).await
            }
        }
    }

    /// By the question's webhook, by the robot API when that is dead or cannot carry the message, and
    /// by a webhook that only looks dead when nothing else is left, since it is the local clock that
    /// says so.
    async fn reply_with(
        &self,
        question: &Question<'_>,
        answer: &RobotMessage,
    ) -> Result<Receipt, ReplyError> {
        let message = question.message;
        let address = Self::address(message);
        let body = answer.webhook_body();
        let webhook = match message.session_webhook.as_ref().zip(body.as_ref()) {
            None if body.is_none() => "unable to carry files",
            None => "missing",
            Some((url, body)) => {
                // It may die while an answer waits.
                let dead = || address.is_ok() && is_expired(message, SystemTime::now());
                let post = || async {
                    if dead() {
                        return Err(ReplyError::WebhookExpired);
                    }
                    Ok(self.client.send_by_session(url, body).await?)
                };
                match self.persist(question, post).await {
                    Ok(()) => {
                        return Ok(Receipt { via: Via::SessionWebhook, process_query_key: None });
                    }
                    Err(ReplyError::WebhookExpired) => "expired",
                    Err(ReplyError::Api(e)) if e.is_session_gone() => "gone (300001)",
                    Err(ReplyError::Api(e @ OpenApiError::UntrustedHost { .. })) => {
                        warn!("a sessionWebhook is not used: {e}");
                        "not to be trusted"
                    }
                    Err(e) => return Err(e),
                }
            }
        };
        let robot_code = self.robot_code(message);
        match address {
            Ok(Address::User(user)) => {
                let send = || self.send_directly(&robot_code, user, answer);
                let key = self.persist(question, send).await?;
                Ok(Receipt { via: Via::BatchSend, process_query_key: Some(key) })
            }
            Ok(Address::Group(group)) => {
                let send =
                    || async { Ok(self.client.group_send(&robot_code, group, answer).await?) };
                let key = ProcessQueryKey::new(self.persist(question, send).await?);
                Ok(Receipt { via: Via::GroupSend, process_query_key: Some(key) })
            }
            Err(otherwise) => Err(ReplyError::NoAddress { webhook, otherwise }),
        }
    }

    /// Tries a send as long as it may help. A retry of one that may have succeeded is counted: with a
    /// crash before it was recorded, it is the one way to a double answer.
    async fn persist<T, F>(
        &self,
        question: &Question<'_>,
        send: impl FnMut() -> F,
    ) -> Result<T, ReplyError>
    where
        F: Future<Output = Result<T, ReplyError>>,
    {
        let count = |e: &ReplyError| self.count_possible_duplicate(&e.to_string());
        persist(question.received_at, send, count).await
    }

    /// Sends that were repeated although they may have arrived.
    pub(super) fn possible_duplicates(&self) -> u64 {
        self.possible_duplicates.load(Ordering::Relaxed)
    }

    /// What each recipient got.
    pub(super) fn send_limit(&self) -> MutexGuard<'_, SendLimit> {
        // Nothing is left half done by a panic within.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a send that is repeated although it may have arrived.
    pub(super) fn count_possible_duplicate(&self, why: &str) {
        let count = self.possible_duplicates.fetch_add(1, Ordering::Relaxed) + 1;
        warn!(count, "a send that may have arrived is repeated: {why}");
    }

    /// The robot that was written to, or the app's own.
    pub(super) fn robot_code(&self, question: &BotMessage) -> RobotCode {
        let client_id = || RobotCode::new(self.client.credential().client_id.as_str());
        question.robot_code.clone().unwrap_or_else(client_id)
    }

    /// Where the robot API reaches the chat of the question, or why it cannot.
    fn address(question: &BotMessage) -> Result<Address<'_>, &'static str> {
        match question.conversation_type {
            ConversationType::Group => Ok(Address::Group(&question.conversation_id)),
            ConversationType::Direct => question
                .sender_staff_id
                .as_ref()
                .map(Address::User)
                .ok_or("the sender has no senderStaffId to write to"),
            ConversationType::Unknown(_) => Err("its conversationType is neither 1 nor 2"),
        }
    }

    async fn send_directly(
        &self,
        robot_code: &RobotCode,
        user: &SenderStaffId,
        answer: &RobotMessage,
    ) -> Result<ProcessQueryKey, ReplyError> {
        let users = std::slice::from_ref(user);
        let result = self.client.batch_send(robot_code, users, answer).await?;
        let user = || user.as_str().to_owned();
        if !result.invalid_staff_ids.is_empty() {
            Err(ReplyError::NotDelivered { user: user() })
        } else if !result.flow_controlled_staff_ids.is_empty() {
            Err(ReplyError::FlowControlled { user: user() })
        } else {
            Ok(ProcessQueryKey::new(result.process_query_key))
        }
    }
}

/// Whether the webhook of `question` is dead or too near to its end. Without an expiry it is tried.
fn is_expired(question: &BotMessage, now: SystemTime) -> bool {
    let Some(expiry) = question.session_webhook_expired_time else { return false };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default() + WEBHOOK_MARGIN;
    i128::try_from(now.as_millis()).is_ok_and(|now| now >= i128::from(expiry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_counts_as_dead_five_minutes_early() {
        let question = |expiry: serde_json::Value| {
            let data = serde_json::json!({
                "conversationId": "c", "sessionWebhookExpiredTime": expiry,
            });
            BotMessage::parse(&data.to_string()).unwrap()
        };
        let now = UNIX_EPOCH + Duration::from_millis(1_780_000_000_000);
        for (expiry, expired) in [
            (serde_json::json!(1_780_000_000_000_i64), true),
            (serde_json::json!(1_780_000_300_000_i64), true),
            (serde_json::json!(1_780_000_300_001_i64), false),
            (serde_json::json!("1780005400000"), false),
            (serde_json::json!(-1), true),
            (serde_json::json!(null), false),
        ] {
            assert_eq!(is_expired(&question(expiry.clone()), now), expired, "{expiry}");
        }
    }
}
