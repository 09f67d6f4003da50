//! `/v1.0/robot/emotion/…`: the robot's reaction to a message of a person.
//!
//! No documentation names these calls; DingTalk's own SDK has them (`RobotReplyEmotion`,
//! `RobotRecallEmotion`), and real connectors send these constants. They can be left out, but for the last
//! try to take a mark back: what stays looks like an answer to come.

use reqwest::Method;
use serde_json::{Value, json};

use super::{OpenApiClient, OpenApiError};
use crate::protocol::{ConversationId, MsgId, RobotCode};

/// What is shown below a message while it is answered.
const NAME: &str = "🤔思考中";

impl OpenApiClient {
    /// `POST /v1.0/robot/emotion/reply`: shows "🤔思考中" below a message.
    pub async fn show_thinking(
        &self,
        robot_code: &RobotCode,
        conversation: &ConversationId,
        message: &MsgId,
    ) -> Result<(), OpenApiError> {
        const CALL: &str = "POST /v1.0/robot/emotion/reply";
        let body = thinking(robot_code, conversation, message);
        let path = "/v1.0/robot/emotion/reply";
        self.send_if_spare(&Method::POST, CALL, path, &body).await.map(drop)
    }

    /// `POST /v1.0/robot/emotion/recall`: takes it back. One that is not there is no error. `insists`: it is
    /// made when its turn in the call budget comes, instead of only if there is room now.
    pub async fn hide_thinking(
        &self,
        robot_code: &RobotCode,
        conversation: &ConversationId,
        message: &MsgId,
        insists: bool,
    ) -> Result<(), OpenApiError> {
        const CALL: &str = "POST /v1.0/robot/emotion/recall";
        let body = thinking(robot_code, conversation, message);
        let path = "/v1.0/robot/emotion/recall";
        let outcome = if insists {
            self.post_with_token(CALL, path, &body).await
        } else {
            self.send_if_spare(&Method::POST, CALL, path, &body).await
        };
        outcome.map(drop)
    }
}

/// The same body for both.
fn thinking(robot_code: &RobotCode, conversation: &ConversationId, message: &MsgId) -> Value {
    json!({
        "robotCode": robot_code.as_str(),
        "openMsgId": message.as_str(),
        "openConversationId": conversation.as_str(),
        "emotionType": 2,
        "emotionName": NAME,
        "textEmotion": {
            "emotionId": "2659900",
            "emotionName": NAME,
            "text": NAME,
            "backgroundId": "im_bg_1",
        },
    })
}
