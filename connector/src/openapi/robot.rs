//! `/v1.0/robot/…`: messages the robot sends on its own.

use serde_json::{Value, json};

use super::access_token::missing;
use super::{OpenApiClient, OpenApiError};
use crate::protocol::{ConversationId, RobotCode, RobotMessage, SenderStaffId};

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSendResult {
    /// Names the message for recall and read status, for 24 h.
    pub process_query_key: String,
    /// Recipients that do not exist or may not see the robot. They got nothing.
    pub invalid_staff_ids: Vec<String>,
    /// Recipients over their limit. They got nothing now.
    pub flow_controlled_staff_ids: Vec<String>,
}

impl OpenApiClient {
    /// `POST /v1.0/robot/oToMessages/batchSend`: one message to up to 20 people, each in the direct
    /// chat with the robot (批量发送人与机器人会话中机器人消息).
    ///
    /// HTTP 200 does not mean that everybody got it: see [`BatchSendResult`].
    pub async fn batch_send(
        &self,
        robot_code: &RobotCode,
        users: &[SenderStaffId],
        message: &RobotMessage,
    ) -> Result<BatchSendResult, OpenApiError> {
        const CALL: &str = "POST /v1.0/robot/oToMessages/batchSend";
        let body = json!({
            "robotCode": robot_code.as_str(),
            "userIds": users.iter().map(SenderStaffId::as_str).collect::<Vec<_>>(),
            "msgKey": message.msg_key(),
            "msgParam": message.msg_param(),
        });
        let answer = self.post_with_token(CALL, "/v1.0/robot/oToMessages/batchSend", &body).await?;
        Ok(BatchSendResult {
            process_query_key: self.process_query_key(CALL, &answer)?,
            invalid_staff_ids: strings(&answer["invalidStaffIdList"]),
            flow_controlled_staff_ids: strings(&answer["flowControlledStaffIdList"]),
        })
    }

    /// `POST /v1.0/robot/groupMessages/send`: one message into a group that the robot is in
    /// (机器人发送群聊消息). Returns its `processQueryKey`.
    pub async fn group_send(
        &self,
        robot_code: &RobotCode,
        conversation: &ConversationId,
        message: &RobotMessage,
    ) -> Result<String, OpenApiError> {
        const CALL: &str = "POST /v1.0/robot/groupMessages/send";
        let body = json!({
            "robotCode": robot_code.as_str(),
            "openConversationId": conversation.as_str(),
            "msgKey": message.msg_key(),
            "msgParam": message.msg_param(),
        });
        let answer = self.post_with_token(CALL, "/v1.0/robot/groupMessages/send", &body).await?;
        self.process_query_key(CALL, &answer)
    }

    /// The key that names what was sent.
    fn process_query_key(
        &self,
        call: &'static str,
        answer: &Value,
    ) -> Result<String, OpenApiError> {
        let key = answer["processQueryKey"].as_str().map(str::to_owned);
        key.ok_or_else(|| OpenApiError::Incomprehensible {
            call,
            host: self.endpoints.openapi.host_str().unwrap_or_default().to_owned(),
            status: 200,
            problem: missing("processQueryKey", answer),
        })
    }
}

pub(super) fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}
