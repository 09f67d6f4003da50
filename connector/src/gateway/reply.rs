//! Brings an answer to where the question came from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::backoff::Backoff;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{BotMessage, ConversationType, RobotCode, RobotMessage, SenderStaffId};

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
    /// The server took the message for nobody.
    #[error("DingTalk did not deliver to user {user}: {reason}")]
    NotDelivered {
        /// `senderStaffId`.
        user: String,
        /// Invalid, or over a limit.
        reason: &'static str,
    },
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

    /// Answers `question` with `answer`: by its webhook, by the robot API when that is dead, and by a
    /// webhook that only looks dead when nothing else is left, since it is the local clock that says so.
    pub(super) async fn reply(
        &self,
        question: &BotMessage,
        answer: &RobotMessage,
    ) -> Result<Via, ReplyError> {
        let direct = self.direct_address(question);
        let webhook = match &question.session_webhook {
            None => "missing",
            Some(_) if direct.is_ok() && is_expired(question, SystemTime::now()) => "expired",
            Some(url) => match self.persist(|| self.client.send_by_session(url, answer)).await {
                Ok(()) => return Ok(Via::SessionWebhook),
                Err(e) if e.is_session_gone() => "gone (300001)",
                Err(e @ OpenApiError::UntrustedHost { .. }) => {
                    warn!("a sessionWebhook is not used: {e}");
                    "not to be trusted"
                }
                Err(e) => return Err(e.into()),
            },
        };
        match direct {
            Ok((robot_code, user)) => self.send_directly(&robot_code, user, answer).await,
            Err(otherwise) => Err(ReplyError::NoAddress { webhook, otherwise }),
        }
    }

    /// Counts a send that is repeated although it may have arrived.
    pub(super) fn count_possible_duplicate(&self, why: &str) {
        let count = self.possible_duplicates.fetch_add(1, Ordering::Relaxed) + 1;
        warn!(count, "a send that may have arrived is repeated: {why}");
    }

    /// Robot and person for the robot API, or why it cannot be used.
    fn direct_address<'a>(
        &self,
        question: &'a BotMessage,
    ) -> Result<(RobotCode, &'a SenderStaffId), &'static str> {
        if question.conversation_type != ConversationType::Direct {
            return Err("answers to a group go through nothing else yet");
        }
        let user = question.sender_staff_id.as_ref();
        let user = user.ok_or("the sender has no senderStaffId to write to")?;
        let client_id = || RobotCode::new(self.client.credential().client_id.as_str());
        Ok((question.robot_code.clone().unwrap_or_else(client_id), user))
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
