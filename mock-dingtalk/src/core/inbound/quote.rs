//! A message that quotes another one (openapi.md 2.3).

use serde_json::{Map, Value, json};

use super::content::{Content, MsgType};
use crate::core::Media;

/// How a quote is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuoteForm {
    /// `isReplyMsg` and `repliedMsg` inside the body, `originalMsgId` beside it.
    #[default]
    Replied,
    /// `isReplyMsg` and `originalMsgId`, without `repliedMsg`.
    IdOnly,
    /// `repliedMsg` without its `msgType`.
    WithoutType,
    /// The old `quoteMessage` beside the body.
    QuoteMessage,
    /// `quoteContent` inside the body.
    QuoteContent,
}

impl QuoteForm {
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("replied", Self::Replied),
        ("idOnly", Self::IdOnly),
        ("withoutType", Self::WithoutType),
        ("quoteMessage", Self::QuoteMessage),
        ("quoteContent", Self::QuoteContent),
    ];
}

/// What is quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quote {
    /// The quoted message's body. With `robot_key` it is not written: the robot's own card
    /// comes back without content.
    pub content: Content,
    /// `msgId` of the quoted message; made up if not given.
    pub msg_id: Option<String>,
    /// User id of who wrote it; the robot if not given and `robot_key` is, else the speaker.
    pub from: Option<String>,
    /// `createdAt`, milliseconds since 1970; a minute before the message if not given.
    pub created_at: Option<i64>,
    /// `processQueryKey` or `carrierId` of a message of the robot, written as
    /// `originalProcessQueryKey`.
    pub robot_key: Option<String>,
    /// How it is written.
    pub form: QuoteForm,
    /// Writes the quoted `content` as JSON in a string.
    pub content_as_string: bool,
    /// What the quoted message quotes itself, at most [`MAX_DEPTH`] deep in all.
    pub inner: Option<Box<Quote>>,
}

/// Quotes within quotes. One connector follows three levels; more are refused.
pub const MAX_DEPTH: usize = 3;

impl Quote {
    /// Quotes a message with this body.
    pub fn of(content: Content) -> Self {
        Self {
            content,
            msg_id: None,
            from: None,
            created_at: None,
            robot_key: None,
            form: QuoteForm::Replied,
            content_as_string: false,
            inner: None,
        }
    }

    /// Quotes the robot's own message or card by the key that sending it gave.
    pub fn of_robot(key: impl Into<String>) -> Self {
        Self { robot_key: Some(key.into()), ..Self::of(Content::of(MsgType::InteractiveCard)) }
    }

    /// Quotes what was said with this `msgId`.
    #[must_use]
    pub fn msg_id(mut self, id: impl Into<String>) -> Self {
        self.msg_id = Some(id.into());
        self
    }

    /// Writes it in another form.
    #[must_use]
    pub fn form(mut self, form: QuoteForm) -> Self {
        self.form = form;
        self
    }

    /// How many quotes there are within each other.
    pub(super) fn depth(&self) -> usize {
        1 + self.inner.as_ref().map_or(0, |inner| inner.depth())
    }
}

/// The ids that a quote is written with, settled by the app.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) msg_id: String,
    pub(super) sender_id: String,
    pub(super) sender_nick: String,
    pub(super) created_at: i64,
}

/// Writes `quote` into the body of a message and beside it.
pub(super) fn write(
    quote: &Quote,
    settled: &mut dyn FnMut(&Quote) -> Settled,
    keep: &mut dyn FnMut(Media) -> String,
    (in_content, body): (bool, &mut Map<String, Value>),
    beside: &mut Map<String, Value>,
) {
    let ids = settled(quote);
    if let Some(key) = &quote.robot_key {
        beside.insert("originalProcessQueryKey".to_owned(), key.as_str().into());
    }
    match quote.form {
        QuoteForm::QuoteMessage => {
            let words = quote.content.text.clone().unwrap_or_default();
            let old = json!({
                "msgId": ids.msg_id,
                "msgtype": quote.content.msgtype.name(),
                "text": { "content": words },
                "senderNick": ids.sender_nick,
                "senderId": ids.sender_id,
            });
            beside.insert("quoteMessage".to_owned(), old);
            return;
        }
        QuoteForm::QuoteContent => {
            let words = quote.content.text.clone().unwrap_or_default();
            // It belongs into `content`, which a message of words has only for this.
            if in_content {
                body.insert("quoteContent".to_owned(), words.into());
            } else {
                beside.insert("content".to_owned(), json!({ "quoteContent": words }));
            }
            return;
        }
        QuoteForm::Replied | QuoteForm::IdOnly | QuoteForm::WithoutType => {}
    }
    body.insert("isReplyMsg".to_owned(), true.into());
    beside.insert("originalMsgId".to_owned(), ids.msg_id.as_str().into());
    if quote.form != QuoteForm::IdOnly {
        body.insert("repliedMsg".to_owned(), replied(quote, &ids, settled, keep));
    }
}

/// `repliedMsg`. Mind `msgType` and `createdAt`, which the message itself spells otherwise.
fn replied(
    quote: &Quote,
    ids: &Settled,
    settled: &mut dyn FnMut(&Quote) -> Settled,
    keep: &mut dyn FnMut(Media) -> String,
) -> Value {
    let mut replied = json!({
        "msgId": ids.msg_id,
        "senderId": ids.sender_id,
        "createdAt": ids.created_at,
    });
    if quote.form != QuoteForm::WithoutType {
        replied["msgType"] = quote.content.msgtype.name().into();
    }
    if quote.robot_key.is_none() {
        let mut content = quoted_body(&quote.content, keep);
        if let (Some(inner), Some(members)) = (&quote.inner, content.as_object_mut()) {
            members.insert("isReplyMsg".to_owned(), true.into());
            let ids = settled(inner);
            members.insert("repliedMsg".to_owned(), self::replied(inner, &ids, settled, keep));
        }
        replied["content"] =
            if quote.content_as_string { content.to_string().into() } else { content };
    }
    replied
}

/// The body as it stands within a quote, where several types look otherwise than at the top.
fn quoted_body(content: &Content, keep: &mut dyn FnMut(Media) -> String) -> Value {
    let words = content.text.clone().unwrap_or_default();
    if content.msgtype == MsgType::Text {
        return json!({ "text": words });
    }
    let (_, mut body) = content.body(keep);
    match content.msgtype {
        MsgType::RichText => {
            let parts = body["richText"].as_array().map(|parts| parts.iter().map(part).collect());
            body["richText"] = Value::Array(parts.unwrap_or_default());
        }
        MsgType::Picture => {
            body.as_object_mut().map(|body| body.remove("pictureDownloadCode"));
        }

        MsgType::Audio if !content.members.contains_key("duration") => {
            body["duration"] = "2000".into();
        }
        MsgType::Video if !content.members.contains_key("duration") => {
            body["duration"] = "1".into();
        }
        MsgType::Unknown if content.text.is_none() => body = json!({}),
        _ => {}
    }
    body
}

/// Within a quote a part says `msgType` and `content` instead of `type` and `text`.
fn part(part: &Value) -> Value {
    let mut made = Map::new();
    for (name, value) in part.as_object().into_iter().flatten() {
        match name.as_str() {
            "text" => {
                made.insert("msgType".to_owned(), "text".into());
                made.insert("content".to_owned(), value.clone());
            }
            "type" => drop(made.insert("msgType".to_owned(), value.clone())),
            "pictureDownloadCode" => {}
            _ => drop(made.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(made)
}
