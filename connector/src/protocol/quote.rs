//! The message that a message answers.

use serde_json::Value;

use super::content::{Body, Content};
use super::id::{MsgId, ProcessQueryKey, SenderId};

/// A quoted message, as far as it came along.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quote {
    /// `msgId`, or the message's `originalMsgId`.
    pub msg_id: Option<MsgId>,
    /// `originalProcessQueryKey`: the robot itself sent it, and got this key for it.
    pub process_query_key: Option<ProcessQueryKey>,
    /// Encrypted id of who wrote it.
    pub sender_id: Option<SenderId>,
    /// Display name of who wrote it; an older form only.
    pub sender_nick: Option<String>,
    /// When it was written, in milliseconds since 1970 UTC.
    pub created_at: Option<i64>,
    /// What was written. The robot's own cards come without.
    pub content: Option<Content>,
    /// What that message quotes.
    pub quote: Option<Box<Quote>>,
}

/// Quotes within quotes that are read.
pub const MAX_DEPTH: usize = 3;

impl Quote {
    /// Finds what a message quotes, in each of the forms that clients send.
    pub(super) fn of(message: &Value, text: &Body, content: &Body) -> Option<Self> {
        let of = |name: &str| Body::of(Some(message)).string(name);
        let original = of("originalMsgId").map(MsgId::new);
        let key = of("originalProcessQueryKey").map(ProcessQueryKey::new);
        let mut quote = [text, content]
            .into_iter()
            .find_map(|body| body.get("repliedMsg"))
            .and_then(|replied| Self::read(replied, MAX_DEPTH))
            .or_else(|| message.get("quoteMessage").and_then(Self::read_older))
            .or_else(|| {
                let words = content.string("quoteContent")?;
                Some(Self { content: Some(Content::Text(words)), ..Self::default() })
            });
        if quote.is_none() && (original.is_some() || key.is_some()) {
            quote = Some(Self::default());
        }
        let mut quote = quote?;
        quote.msg_id = quote.msg_id.or(original);
        quote.process_query_key = key;
        Some(quote)
    }

    fn read(replied: &Value, depth: usize) -> Option<Self> {
        let replied = Body::of(Some(replied));
        let Body::Members(_) = replied else { return None };
        let inner = Body::of(replied.get("content"));
        let content = match replied.string("msgType").or_else(|| replied.string("msgtype")) {
            Some(msgtype) => match Content::read(&msgtype, &Body::Nothing, &inner) {
                // The robot's own card says what it is and has no body.
                Content::Unsupported { .. } if matches!(inner, Body::Nothing) => None,
                content => Some(content),
            },
            None => Content::guess(&inner),
        };
        let quote = match depth.checked_sub(1) {
            None | Some(0) => None,
            Some(left) => inner
                .get("repliedMsg")
                .or_else(|| replied.get("repliedMsg"))
                .and_then(|replied| Self::read(replied, left))
                .map(Box::new),
        };
        Some(Self {
            msg_id: replied.string("msgId").map(MsgId::new),
            sender_id: replied.string("senderId").map(SenderId::new),
            sender_nick: replied.string("senderNick"),
            created_at: replied.string("createdAt").and_then(|at| at.parse().ok()),
            content,
            quote,
            ..Self::default()
        })
    }

    /// `quoteMessage`, which has its words under `text` as a message has.
    fn read_older(value: &Value) -> Option<Self> {
        let body = Body::of(Some(value));
        let Body::Members(_) = body else { return None };
        let msgtype = body.string("msgtype").unwrap_or_default();
        let (text, inner) = (Body::of(body.get("text")), Body::of(body.get("content")));
        Some(Self {
            msg_id: body.string("msgId").map(MsgId::new),
            sender_id: body.string("senderId").map(SenderId::new),
            sender_nick: body.string("senderNick"),
            content: Some(Content::read(&msgtype, &text, &inner)),
            ..Self::default()
        })
    }
}
