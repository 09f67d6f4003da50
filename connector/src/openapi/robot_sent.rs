//! What became of messages that the robot API took: recall and read status, both for 24 h.

use serde_json::{Map, Value, json};

use super::robot::strings;
use super::{OpenApiClient, OpenApiError};
use crate::protocol::{ConversationId, ProcessQueryKey, RobotCode};

/// What became of a recall. Nobody is told that a message is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecallResult {
    /// Keys of messages that are gone.
    pub recalled: Vec<String>,
    /// Keys of messages that stay, each with DingTalk's reason, such as `SYSTEM_ERROR`.
    pub failed: Vec<(String, String)>,
}

/// What DingTalk says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendStatus {
    /// It was sent.
    Success,
    /// It was taken back.
    Recalled,
    /// It is on its way.
    Processing,
    /// Something new.
    Unknown(String),
}

impl SendStatus {
    fn of(answer: &Value) -> Self {
        match answer["sendStatus"].as_str().unwrap_or_default() {
            // The documentation's example spells it so, too.
            "SUCCESS" | "SUCESS" => Self::Success,
            "RECALLED" => Self::Recalled,
            "PROCESSING" => Self::Processing,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// Who has read a message that was sent to people one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadStatus {
    /// What became of the message.
    pub send_status: SendStatus,
    /// Each recipient.
    pub people: Vec<Reader>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// `userId`.
    pub user_id: String,
    /// Display name.
    pub name: String,
    /// Whether it was read. DingTalk does not say when.
    pub read: bool,
}

/// One page of those who have read a message in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadersPage {
    /// What became of the message.
    pub send_status: SendStatus,
    /// userIds.
    pub read_user_ids: Vec<String>,
    /// Asks for the next page, if there is one.
    pub next_token: Option<String>,
}

impl OpenApiClient {
    /// `POST /v1.0/robot/otoMessages/batchRecall`: takes back up to 20 messages of direct chats
    /// (批量撤回人与机器人会话中机器人消息). Mind the path: sending spells it `oToMessages`.
    ///
    /// If none can be taken back the reason is the error.
    pub async fn batch_recall(
        &self,
        robot_code: &RobotCode,
        keys: &[ProcessQueryKey],
    ) -> Result<RecallResult, OpenApiError> {
        const CALL: &str = "POST /v1.0/robot/otoMessages/batchRecall";
        let body = json!({
            "robotCode": robot_code.as_str(),
            "processQueryKeys": strs(keys),
        });
        let answer =
            self.post_with_token(CALL, "/v1.0/robot/otoMessages/batchRecall", &body).await?;
        Ok(RecallResult::of(&answer))
    }

    /// `POST /v1.0/robot/groupMessages/recall`: takes back up to 20 messages of one group
    /// (企业机器人撤回内部群消息).
    pub async fn group_recall(
        &self,
        robot_code: &RobotCode,
        conversation: &ConversationId,
        keys: &[ProcessQueryKey],
    ) -> Result<RecallResult, OpenApiError> {
        const CALL: &str = "POST /v1.0/robot/groupMessages/recall";
        let body = json!({
            "robotCode": robot_code.as_str(),
            "openConversationId": conversation.as_str(),
            "processQueryKeys": strs(keys),
        });
        let answer = self.post_with_token(CALL, "/v1.0/robot/groupMessages/recall", &body).await?;
        Ok(RecallResult::of(&answer))
    }

    /// `GET /v1.0/robot/oToMessages/readStatus?robotCode=&processQueryKey=`: who of the recipients of
    /// a `batchSend` has read it (批量查询人与机器人会话机器人消息是否已读).
    pub async fn read_status(
        &self,
        robot_code: &RobotCode,
        key: &ProcessQueryKey,
    ) -> Result<ReadStatus, OpenApiError> {
        const CALL: &str = "GET /v1.0/robot/oToMessages/readStatus";
        let mut url = self.openapi("/v1.0/robot/oToMessages/readStatus");
        url.query_pairs_mut()
            .append_pair("robotCode", robot_code.as_str())
            .append_pair("processQueryKey", key.as_str());
        let answer = self.get_with_token(CALL, &url).await?;
        let list = answer["messageReadInfoList"].as_array().map(Vec::as_slice).unwrap_or_default();
        let reader = |person: &Value| {
            let text = |name: &str| person[name].as_str().map(str::to_owned);
            let read = person["readStatus"].as_str() == Some("READ");
            Some(Reader { user_id: text("userId")?, name: text("name").unwrap_or_default(), read })
        };
        Ok(ReadStatus {
            send_status: SendStatus::of(&answer),
            people: list.iter().filter_map(reader).collect(),
        })
    }

    /// `POST /v1.0/robot/groupMessages/query`: who in a group has read a message, at most 200 at a
    /// time (查询企业机器人群聊消息用户已读状态). `next_token` is that of the page before.
    pub async fn group_readers(
        &self,
        robot_code: &RobotCode,
        conversation: &ConversationId,
        key: &ProcessQueryKey,
        max_results: u8,
        next_token: Option<&str>,
    ) -> Result<ReadersPage, OpenApiError> {
        const CALL: &str = "POST /v1.0/robot/groupMessages/query";
        let body = json!({
            "robotCode": robot_code.as_str(),
            "openConversationId": conversation.as_str(),
            "processQueryKey": key.as_str(),
            "maxResults": max_results.clamp(1, 200),
            "nextToken": next_token.unwrap_or_default(),
        });
        let answer = self.post_with_token(CALL, "/v1.0/robot/groupMessages/query", &body).await?;
        let next = answer["nextToken"].as_str().filter(|token| !token.is_empty());
        let more = answer["hasMore"].as_bool().unwrap_or(false);
        Ok(ReadersPage {
            send_status: SendStatus::of(&answer),
            read_user_ids: strings(&answer["readUserIds"]),
            next_token: next.filter(|_| more).map(str::to_owned),
        })
    }
}

impl RecallResult {
    fn of(answer: &Value) -> Self {
        let none = Map::new();
        let failed = answer["failedResult"].as_object().unwrap_or(&none).iter();
        let reason =
            |reason: &Value| reason.as_str().map_or_else(|| reason.to_string(), str::to_owned);
        Self {
            recalled: strings(&answer["successResult"]),
            failed: failed.map(|(key, why)| (key.clone(), reason(why))).collect(),
        }
    }
}

fn strs(keys: &[ProcessQueryKey]) -> Vec<&str> {
    keys.iter().map(ProcessQueryKey::as_str).collect()
}
