//! What the robot said to people, by whichever API.

use serde::Serialize;
use serde_json::Value;

/// One message that a person sees.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SentRow {
    /// Position among the app's sent messages, from 1.
    pub seq: u64,
    /// `sessionWebhook` or `batchSend`.
    pub via: &'static str,
    /// The user id in a direct chat, the conversation id in a group.
    pub to: String,
    /// The chat it appears in.
    pub conversation_id: String,
    /// `text`, `markdown`, `link`, `actionCard`, `feedCard`, `image`, `audio`, `file` or `video`.
    pub msgtype: String,
    /// What a person reads; empty for media.
    pub text: String,
    /// Media that came with it. None of the calls modelled so far brings any.
    pub media: Option<Value>,
    /// The request's body as received.
    pub raw: Value,
    /// The `msgId` of the message whose `sessionWebhook` was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// When, in milliseconds since 1970, on the mock's clock.
    pub at: i64,
}
