//! What the robot said to people, by whichever API.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    known,
    memory::{beside, block, texts},
    ring::PLACE,
};

/// One message that a person sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SentRow {
    /// Position among the app's sent messages, from 1.
    pub seq: u64,
    /// `sessionWebhook`, `batchSend`, `groupMessages`, `privateChatMessages`, `card` or
    /// `customRobot`.
    #[serde(deserialize_with = "known::via")]
    pub via: known::Word,
    /// The user id in a direct chat, the conversation id in a group.
    pub to: String,
    /// The chat it appears in.
    pub conversation_id: String,
    /// `text`, `markdown`, `link`, `actionCard`, `feedCard`, `image`, `audio`, `file`,
    /// `video` or `card`.
    pub msgtype: String,
    /// What a person reads; empty for media. Of a card, what it shows now.
    pub text: String,
    /// The file that came with it: `mediaId`, `name`, `type`, `size`, `sha256` and a `url` below
    /// `/_mock`; only `url` where the message has the address of a picture.
    pub media: Option<Value>,
    /// The request's body as received; of a card, all of it as it stands.
    pub raw: Value,
    /// The `msgId` of the message whose `sessionWebhook` was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The key that the call answered with; messages of one call share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_query_key: Option<String>,
    /// True once the robot took it back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recalled: bool,
    /// False while a card is still being written.
    pub finished: bool,
    /// When, in milliseconds since 1970, on the app's clock.
    pub at: i64,
}

/// A row as the core keeps it.
#[derive(Debug, Clone)]
pub(crate) struct KeptRow {
    /// Without `raw`.
    pub(crate) row: SentRow,
    /// `raw` as text, which takes a tenth of the memory of a tree.
    raw: Box<str>,
}

impl KeptRow {
    pub(crate) fn new(mut row: SentRow) -> Self {
        let raw = row.raw.take().to_string().into();
        Self { row, raw }
    }

    /// The row as it was given, and changed since.
    pub(crate) fn whole(&self) -> SentRow {
        let raw = serde_json::from_str(&self.raw).unwrap_or_default();
        SentRow { raw, ..self.row.clone() }
    }

    /// The card that this row shows was written on.
    pub(crate) fn rewrite(&mut self, text: String, raw: &Value, finished: bool) {
        self.raw = raw.to_string().into();
        (self.row.text, self.row.finished) = (text, finished);
    }

    /// The memory that it takes, more or less.
    pub(crate) fn bytes(&self) -> usize {
        let SentRow { to, conversation_id, msgtype, text, .. } = &self.row;
        let more = [&self.row.in_reply_to, &self.row.process_query_key];
        let always = [to, conversation_id, msgtype, text].map(String::as_str);
        let more = more.into_iter().flatten().map(String::as_str);
        block(size_of::<Self>())
            + texts(always.into_iter().chain(more).chain([&*self.raw]))
            + self.row.media.as_ref().map_or(0, beside)
            + PLACE
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
