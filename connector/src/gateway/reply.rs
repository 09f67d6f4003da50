//! Brings an answer to where the question came from.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::agent::{AttachmentKind, Say};
use crate::backoff::Backoff;
use crate::openapi::media::MediaType;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{
    BotMessage, ConversationId, ConversationType, RobotCode, RobotMessage, SenderStaffId,
};

/// Sends replies: through the message's `sessionWebhook` while it lives, else through the robot API.
#[derive(Debug)]
pub(super) struct Replier {
    client: Arc<OpenApiClient>,
    possible_duplicates: AtomicU64,
}

/// Which way a reply went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// The URL that came with the message.
    SessionWebhook,
    /// `oToMessages/batchSend`.
    BatchSend,
    /// `groupMessages/send`.
    GroupSend,
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
    /// A file cannot be read or is too large.
    #[error("the file {name} cannot be sent: {reason}")]
    File {
        /// Its shown name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The server took the message for nobody.
    #[error("DingTalk did not deliver to user {user}: {reason}")]
    NotDelivered {
        /// `senderStaffId`.
        user: String,
        /// Invalid, or over a limit.
        reason: &'static str,
    },
}

/// A chat as the robot API names it.
#[derive(Debug, Clone, Copy)]
enum Address<'a> {
    User(&'a SenderStaffId),
    Group(&'a ConversationId),
}

/// A webhook this near to its end counts as dead.
const WEBHOOK_MARGIN: Duration = Duration::from_secs(5 * 60);

/// Tries of one send, the first included.
const TRIES: u32 = 4;

/// A server that asks for more patience than this is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));

impl Replier {
    pub(super) fn new(client: Arc<OpenApiClient>) -> Self {
        Self { client, possible_duplicates: AtomicU64::new(0) }
    }

    /// Says one thing in answer to `question`, in the chat that it was asked in.
    pub(super) async fn reply(
        &self,
        question: &BotMessage,
        answer: &Say,
    ) -> Result<Via, ReplyError> {
        match answer {
            Say::Message(message) => self.reply_with(question, message).await,
            Say::File { kind, path, name } => {
                let message = self.upload(*kind, path, name).await?;
                self.reply_with(question, &message).await
            }
        }
    }

    /// Uploads a file, and makes the message that shows it. What DingTalk does not take as a picture
    /// goes as a file.
    async fn upload(
        &self,
        kind: AttachmentKind,
        path: &Path,
        name: &str,
    ) -> Result<RobotMessage, ReplyError> {
        let fail = |reason: String| ReplyError::File { name: name.to_owned(), reason };
        let from = path.to_owned();
        let bytes = tokio::task::spawn_blocking(move || std::fs::read(from)).await;
        let bytes = bytes.map_err(|e| fail(e.to_string()))?;
        let bytes = bytes.map_err(|e| fail(format!("{}: {e}", path.display())))?;
        if bytes.is_empty() {
            return Err(fail("it is empty, which DingTalk refuses".to_owned()));
        }
        let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
        let shown = ["jpg", "jpeg", "gif", "png", "bmp"];
        let is_picture = kind == AttachmentKind::Picture
            && extension.is_some_and(|e| shown.contains(&e.as_str()));
        let media_type = if is_picture { MediaType::Image } else { MediaType::File };
        if bytes.len() > media_type.limit() {
            let megabytes = media_type.limit() >> 20;
            return Err(fail(format!("it is larger than the {megabytes} MB that DingTalk takes")));
        }
        let media_id = self.persist(|| self.client.upload(media_type, name, &bytes)).await?;
        Ok(match media_type {
            MediaType::Image => RobotMessage::Image { media_id },
            MediaType::File => RobotMessage::File { media_id, name: name.to_owned() },
        })
    }

    /// By the question's webhook, by the robot API when that is dead or cannot carry the message, and
    /// by a webhook that only looks dead when nothing else is left, since it is the local clock that
    /// says so.
    async fn reply_with(
        &self,
        question: &BotMessage,
        answer: &RobotMessage,
    ) -> Result<Via, ReplyError> {
        let address = Self::address(question);
        let body = answer.webhook_body();
        let webhook = match question.session_webhook.as_ref().zip(body.as_ref()) {
            None if body.is_none() => "unable to carry files",
            None => "missing",
            Some(_) if address.is_ok() && is_expired(question, SystemTime::now()) => "expired",
            Some((url, body)) => {
                match self.persist(|| self.client.send_by_session(url, body)).await {
                    Ok(()) => return Ok(Via::SessionWebhook),
                    Err(e) if e.is_session_gone() => "gone (300001)",
                    Err(e @ OpenApiError::UntrustedHost { .. }) => {
                        warn!("a sessionWebhook is not used: {e}");
                        "not to be trusted"
                    }
                    Err(e) => return Err(e.into()),
                }
            }
        };
        let robot_code = self.robot_code(question);
        match address {
            Ok(Address::User(user)) => self.send_directly(&robot_code, user, answer).await,
            Ok(Address::Group(group)) => {
                self.persist(|| self.client.group_send(&robot_code, group, answer)).await?;
                Ok(Via::GroupSend)
            }
            Err(otherwise) => Err(ReplyError::NoAddress { webhook, otherwise }),
        }
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
    ) -> Result<Via, ReplyError> {
        let users = std::slice::from_ref(user);
        let result = self.persist(|| self.client.batch_send(robot_code, users, answer)).await?;
        let reason = if !result.invalid_staff_ids.is_empty() {
            "the user does not exist or may not see the robot (invalidStaffIdList)"
        } else if !result.flow_controlled_staff_ids.is_empty() {
            "the user has had too many messages (flowControlledStaffIdList)"
        } else {
            return Ok(Via::BatchSend);
        };
        Err(ReplyError::NotDelivered { user: user.as_str().to_owned(), reason })
    }

    /// Tries a send until it succeeds, cannot succeed, or was tried often enough. A retry of a send
    /// that may have succeeded is counted: with a crash before it was recorded, it is the one way to a
    /// double answer.
    async fn persist<T, F>(&self, mut send: impl FnMut() -> F) -> Result<T, OpenApiError>
    where
        F: Future<Output = Result<T, OpenApiError>>,
    {
        let mut retry = 0;
        loop {
            let e = match send().await {
                Ok(value) => return Ok(value),
                Err(e) => e,
            };
            if !e.is_retryable() || retry + 1 == TRIES {
                return Err(e);
            }
            if e.is_ambiguous() {
                self.count_possible_duplicate(&e.to_string());
            }
            let asked = e.retry_after().unwrap_or_default().min(LONGEST_PAUSE);
            tokio::time::sleep(BACKOFF.delay(retry, rand::random()).max(asked)).await;
            retry += 1;
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
