//! Brings an answer to where the question came from.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tracing::warn;

use super::persist::{Failing, Prospect, persist};
use crate::agent::{AttachmentKind, Say};
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

/// A message that is answered.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) message: &'a BotMessage,
    /// When it came, in milliseconds since 1970 UTC.
    pub(super) received_at: i64,
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
    /// A file cannot be sent, whatever becomes of the rest.
    #[error("the file {name} cannot be sent: {problem}: {detail}")]
    File {
        /// Its shown name.
        name: String,
        /// Why, for anybody.
        problem: FileProblem,
        /// Why, for the operator.
        detail: String,
    },
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
            | Self::File { .. }
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
}

impl FileProblem {
    /// What is said in the place of the file.
    pub(super) fn for_people(self, name: &str) -> String {
        let chinese = match self {
            Self::Unreadable => "读取失败",
            Self::Empty => "文件为空",
            Self::TooLarge => "文件太大",
            Self::Refused => "钉钉拒收",
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
        Self { client, possible_duplicates: AtomicU64::new(0) }
    }

    /// Says one thing in answer to a question, in the chat that it was asked in.
    pub(super) async fn reply(
        &self,
        question: &Question<'_>,
        answer: &Say,
    ) -> Result<Via, ReplyError> {
        match answer {
            Say::Message(message) => self.reply_with(question, message).await,
            Say::File { kind, path, name } => {
                let message = self.upload(question.received_at, *kind, path, name).await?;
                self.reply_with(question, &message).await
            }
        }
    }

    /// Uploads a file, and makes the message that shows it. What DingTalk does not take as a picture
    /// goes as a file. `received_at` is when what it answers came.
    pub(super) async fn upload(
        &self,
        received_at: i64,
        kind: AttachmentKind,
        path: &Path,
        name: &str,
    ) -> Result<RobotMessage, ReplyError> {
        let fail = |problem, detail| ReplyError::File { name: name.to_owned(), problem, detail };
        let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
        let shown = ["jpg", "jpeg", "gif", "png", "bmp"];
        let is_picture = kind == AttachmentKind::Picture
            && extension.is_some_and(|e| shown.contains(&e.as_str()));
        let media_type = if is_picture { MediaType::Image } else { MediaType::File };
        let from = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read_file(&from, media_type.limit())).await;
        let read = read.unwrap_or_else(|e| Err((FileProblem::Unreadable, e.to_string())));
        let bytes =
            read.map_err(|(problem, e)| fail(problem, format!("{}: {e}", path.display())))?;
        // Uploaded twice is not said twice: these repeats are not counted.
        let upload = || self.client.upload(media_type, name, bytes.clone());
        let media_id = match persist(received_at, upload, |_| ()).await {
            Ok(media_id) => media_id,
            Err(e) if e.prospect() == Prospect::Never => {
                return Err(fail(FileProblem::Refused, e.to_string()));
            }
            Err(e) => return Err(e.into()),
        };
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
        question: &Question<'_>,
        answer: &RobotMessage,
    ) -> Result<Via, ReplyError> {
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
                    Ok(()) => return Ok(Via::SessionWebhook),
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
                self.persist(question, || self.send_directly(&robot_code, user, answer)).await?;
                Ok(Via::BatchSend)
            }
            Ok(Address::Group(group)) => {
                let send = || async {
                    Ok(self.client.group_send(&robot_code, group, answer).await.map(drop)?)
                };
                self.persist(question, send).await?;
                Ok(Via::GroupSend)
            }
            Err(otherwise) => Err(ReplyError::NoAddress { webhook, otherwise }),
        }
    }

    /// Tries a send as long as it may help. A retry of one that may have succeeded is counted: with a
    /// crash before it was recorded, it is the one way to a double answer.
    async fn persist<F>(
        &self,
        question: &Question<'_>,
        send: impl FnMut() -> F,
    ) -> Result<(), ReplyError>
    where
        F: Future<Output = Result<(), ReplyError>>,
    {
        let count = |e: &ReplyError| self.count_possible_duplicate(&e.to_string());
        persist(question.received_at, send, count).await
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
    ) -> Result<(), ReplyError> {
        let users = std::slice::from_ref(user);
        let result = self.client.batch_send(robot_code, users, answer).await?;
        let user = || user.as_str().to_owned();
        if !result.invalid_staff_ids.is_empty() {
            Err(ReplyError::NotDelivered { user: user() })
        } else if !result.flow_controlled_staff_ids.is_empty() {
            Err(ReplyError::FlowControlled { user: user() })
        } else {
            Ok(())
        }
    }
}

/// Reads a file that DingTalk would take.
fn read_file(path: &Path, limit: usize) -> Result<Bytes, (FileProblem, String)> {
    let unreadable = |e: std::io::Error| (FileProblem::Unreadable, e.to_string());
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err((FileProblem::TooLarge, format!("{length} bytes, of at most {limit}")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err((FileProblem::Empty, "0 bytes".to_owned()));
    }
    Ok(bytes.into())
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
    fn a_file_that_is_too_large_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(read_file(&path, 5).unwrap_err().0, FileProblem::Unreadable);
        let file = std::fs::File::create(&path).unwrap();
        assert_eq!(read_file(&path, 5).unwrap_err().0, FileProblem::Empty);
        file.set_len(5).unwrap();
        assert_eq!(read_file(&path, 5).unwrap().len(), 5);
        // More than any memory holds: its length is asked for first.
        file.set_len(1 << 40).unwrap();
        assert_eq!(read_file(&path, 5).unwrap_err().0, FileProblem::TooLarge);
    }

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
