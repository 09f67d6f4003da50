//! Messages the robot sends, as each API wants them written.
//!
//! Sources: open.dingtalk.com, 自定义机器人接入 (sessionWebhook bodies, in HTTP 200 `errcode`), and
//! 企业机器人发送消息的消息类型 (`msgKey` and `msgParam`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One message. Its serde form is that of our own outbox, on no wire of DingTalk's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RobotMessage {
    /// Plain text.
    Text(String),
    /// DingTalk's Markdown subset.
    Markdown {
        /// Preview in the conversation list; mandatory, not shown in the message.
        title: String,
        /// Body.
        text: String,
    },
    /// A picture that was uploaded. Only the robot API carries it.
    Image {
        /// `media_id` of `media/upload`.
        media_id: String,
    },
    /// A file that was uploaded. Only the robot API carries it.
    File {
        /// `media_id` of `media/upload`.
        media_id: String,
        /// Shown name, with its extension.
        name: String,
    },
}

impl RobotMessage {
    /// Body of `POST {sessionWebhook}`; `None` for what it does not carry.
    pub fn webhook_body(&self) -> Option<Value> {
        match self {
            Self::Text(content) => {
                Some(json!({ "msgtype": "text", "text": { "content": content } }))
            }
            Self::Markdown { title, text } => {
                Some(json!({ "msgtype": "markdown", "markdown": { "title": title, "text": text } }))
            }
            Self::Image { .. } | Self::File { .. } => None,
        }
    }

    /// `msgKey` of the robot OpenAPI.
    pub fn msg_key(&self) -> &'static str {
        match self {
            Self::Text(_) => "sampleText",
            Self::Markdown { .. } => "sampleMarkdown",
            Self::Image { .. } => "sampleImageMsg",
            Self::File { .. } => "sampleFile",
        }
    }

    /// `msgParam` of the robot OpenAPI: JSON text, 15,000 bytes at most.
    pub fn msg_param(&self) -> String {
        match self {
            Self::Text(content) => json!({ "content": content }),
            Self::Markdown { title, text } => json!({ "title": title, "text": text }),
            Self::Image { media_id } => json!({ "photoURL": media_id }),
            Self::File { media_id, name } => {
                let kind = name.rsplit_once('.').map_or("file", |(_, extension)| extension);
                json!({ "mediaId": media_id, "fileName": name, "fileType": kind })
            }
        }
        .to_string()
    }
}
