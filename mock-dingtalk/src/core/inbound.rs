//! What people send to the robot, in every shape that was documented or seen (openapi.md 2).
//!
//! A message is the text message of `core/message.rs` with a *patch*: members that are set, and
//! members (given as null) that are left out.

mod content;
mod quote;
mod sample;

use serde_json::{Map, Value, json};

pub(crate) use self::content::MAX_PARTS;
pub use self::{
    content::{Content, MsgType},
    quote::{MAX_DEPTH, Quote, QuoteForm},
    sample::Sample,
};
use super::{
    Moment,
    app::{App, Cx},
    conversation::ConversationKind,
    fixture::BOT_TOPIC,
    inbound_media::Media,
    journal::{Draft, EntryKind},
    lifetime,
    message::{RobotMessage, Said, Say, SayConversation},
    verb_error::{VerbError, check_id, quoted},
};

/// The topic of a person who lets the robot answer in their name (`dingtalk-stream` 0.24.3).
pub(crate) const DELEGATE_TOPIC: &str = "/v1.0/im/bot/messages/delegate";

/// Whether and how `senderStaffId` comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StaffId {
    /// As it should.
    #[default]
    Present,
    /// Left out: outsiders, and apps that are not published.
    Missing,
    /// `""`.
    Empty,
}

/// Where the wire was seen to differ, chosen for one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a difference of its own, any may be chosen"
)]
pub struct Variants {
    /// `createAt` and `sessionWebhookExpiredTime` as strings.
    pub times_as_strings: bool,
    /// `duration` as a string if true, as a number if false, as the type has it if not given.
    pub duration_as_string: Option<bool>,
    /// `content` as JSON in a string.
    pub content_as_string: bool,
    /// `senderStaffId`.
    pub staff_id: StaffId,
    /// Comes by the topic `/v1.0/im/bot/messages/delegate`, with its two members.
    pub delegate: bool,
    /// The month's quota is spent: `errorCode` 20001 and neither `text` nor `content` (KB 0699).
    pub quota_exhausted: bool,
}

/// A person sends something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Speech {
    /// The user id; an unknown one creates that person.
    pub from: String,
    /// Where. Without it: the person's direct chat.
    pub conversation: Option<SayConversation>,
    /// What.
    pub content: Content,
    /// What it quotes.
    pub quote: Option<Quote>,
    /// How it is written.
    pub variants: Variants,
    /// Allows what DingTalk doesn't: voice, video and files in groups.
    pub lenient: bool,
}

impl Speech {
    /// Somebody sends something in their direct chat.
    pub fn new(from: impl Into<String>, content: Content) -> Self {
        Self {
            from: from.into(),
            conversation: None,
            content,
            quote: None,
            variants: Variants::default(),
            lenient: false,
        }
    }

    /// In this chat.
    #[must_use]
    pub fn conversation(mut self, conversation: SayConversation) -> Self {
        self.conversation = Some(conversation);
        self
    }

    /// Quoting this.
    #[must_use]
    pub fn quote(mut self, quote: Quote) -> Self {
        self.quote = Some(quote);
        self
    }

    /// Written this way.
    #[must_use]
    pub fn variants(mut self, variants: Variants) -> Self {
        self.variants = variants;
        self
    }

    fn check(&self) -> Result<(), VerbError> {
        check_id("from", &self.from)?;
        let group =
            self.conversation.as_ref().is_some_and(|wanted| wanted.kind == ConversationKind::Group);
        if group && self.content.msgtype.is_direct_only() && !self.lenient {
            let allowed = "text, richText or picture in a group, which a robot sees by a mention \
                           only; or \"lenient\": true";
            let value = quoted(self.content.msgtype.name());
            return Err(VerbError::invalid("msgtype", value, allowed));
        }
        check_content("media", &self.content)?;
        let mut quote = self.quote.as_ref();
        if quote.is_some_and(|quote| quote.depth() > MAX_DEPTH) {
            let allowed = format!("at most {MAX_DEPTH} quotes within each other");
            return Err(VerbError::invalid("quote.quote", "deeper", allowed));
        }
        while let Some(inner) = quote {
            check_content("quote.media", &inner.content)?;
            for id in [&inner.from, &inner.msg_id, &inner.robot_key].into_iter().flatten() {
                check_id("quote", id)?;
            }
            quote = inner.inner.as_deref();
        }
        Ok(())
    }
}

impl From<&Say> for Speech {
    fn from(say: &Say) -> Self {
        let content = Content::text(say.text.as_str());
        Self { conversation: say.conversation.clone(), ..Self::new(say.from.as_str(), content) }
    }
}

/// What is left of a message when the month's quota is spent (KB 0699).
fn exhaust(patch: &mut Map<String, Value>) {
    patch.insert("text".to_owned(), Value::Null);
    patch.insert("content".to_owned(), Value::Null);
    patch.insert("errorCode".to_owned(), 20001.into());
    patch.insert("errorMessage".to_owned(), "本月消息接收额度已用完".into());
}

fn check_content(field: &str, content: &Content) -> Result<(), VerbError> {
    let most = content.msgtype.max_files();
    if content.media.len() > most {
        let value = format!("{} files", content.media.len());
        let allowed = format!("at most {most} in a message of type {}", content.msgtype.name());
        return Err(VerbError::invalid(field, value, allowed));
    }
    for media in &content.media {
        check_size(field, media)?;
        for (what, text) in [("name", &media.name), ("mimeType", &media.mime_type)] {
            check_word(&format!("{field}.{what}"), text)?;
        }
    }
    Ok(())
}

/// A file without a message: its name and size have the same bounds as in one.
pub(super) fn check_file(media: &Media) -> Result<(), VerbError> {
    check_size("file", media)?;
    check_word("name", &media.name)
}

fn check_size(field: &str, media: &Media) -> Result<(), VerbError> {
    if media.bytes.len() <= lifetime::MEDIA_BYTES {
        return Ok(());
    }
    let value = format!("{} bytes long", media.bytes.len());
    let allowed = format!("at most {} bytes", lifetime::MEDIA_BYTES);
    Err(VerbError::invalid(field, value, allowed))
}

fn check_word(field: &str, text: &str) -> Result<(), VerbError> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        let allowed = "1 to 255 bytes without control characters";
        return Err(VerbError::invalid(field, quoted(text), allowed));
    }
    Ok(())
}

impl App {
    /// A person says something in words.
    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, say: &Say) -> Result<Said, VerbError> {
        self.speak(cx, &Speech::from(say))
    }

    /// A person sends something.
    pub(crate) fn speak(&mut self, cx: &mut Cx<'_>, speech: &Speech) -> Result<Said, VerbError> {
        speech.check()?;
        let too_many = |what| VerbError::TooMany { what, limit: lifetime::PEOPLE_PER_APP };
        let person = self
            .people
            .get_or_add(&mut self.mint, &speech.from)
            .ok_or_else(|| too_many("people of one app"))?;
        let conversation = self
            .chat_of(&speech.from, speech.conversation.as_ref())?
            .ok_or_else(|| too_many("chats of one app"))?;
        let msg_id = self.mint.msg_id();
        let (session, session_expires_at) =
            self.open_session(cx, &conversation, &person.user_id, &msg_id);
        let words = speech.content.text.clone().unwrap_or_default();
        let mut message = RobotMessage {
            conversation_id: conversation.id.clone(),
            conversation_title: conversation.title,
            kind: conversation.kind,
            corp_id: self.corp_id.clone(),
            robot_dingtalk_id: self.robot_dingtalk_id.clone(),
            robot_code: self.robot_code.clone(),
            msg_id: msg_id.clone(),
            sender_user_id: person.user_id,
            sender_nick: person.nick,
            sender_dingtalk_id: person.dingtalk_id,
            text: words.clone(),
            created_at: cx.now.unix_ms,
            session_expires_at,
            session,
            patch: Map::new(),
        };
        let spent = !self.api.limits.spend_message(cx.now);
        message.patch = self.patch(speech, &message, cx.now);
        if spent || speech.variants.quota_exhausted {
            exhaust(&mut message.patch);
        }
        for body in ["content", "text", "quoteMessage"] {
            if let Some(body) = message.patch.get_mut(body) {
                self.place_files(&conversation.id, body, cx.now.unix_ms);
            }
        }
        let what = match speech.content.msgtype {
            MsgType::Text => format!("{} says", speech.from),
            other => format!("{} sends {}", speech.from, other.name()),
        };
        self.note(cx, Draft::new(EntryKind::Control, what).body(words.as_str().into()));
        let topic = if speech.variants.delegate { DELEGATE_TOPIC } else { BOT_TOPIC };
        Ok(self.deliver_message(cx, topic, message, msg_id, conversation.id))
    }

    /// What makes a text message this message. Empty for plain words.
    fn patch(
        &mut self,
        speech: &Speech,
        message: &RobotMessage,
        now: Moment,
    ) -> Map<String, Value> {
        let mut patch = Map::new();
        let content = &speech.content;
        let plain = content.msgtype == MsgType::Text && speech.quote.is_none();
        if !plain {
            let (name, body) = self.body(speech, message, &mut patch, now);
            patch.insert("msgtype".to_owned(), content.msgtype.name().into());
            patch.insert("text".to_owned(), Value::Null);
            patch.insert(name.to_owned(), body);
        }
        let variants = &speech.variants;
        if variants.times_as_strings {
            let times = [
                ("createAt", message.created_at),
                ("sessionWebhookExpiredTime", message.session_expires_at),
            ];
            for (name, time) in times {
                patch.insert(name.to_owned(), time.to_string().into());
            }
        }
        match variants.staff_id {
            StaffId::Present => {}
            StaffId::Missing => {
                // Both are there for people of the corporation only.
                for name in ["senderStaffId", "isAdmin"] {
                    patch.insert(name.to_owned(), Value::Null);
                }
            }
            StaffId::Empty => drop(patch.insert("senderStaffId".to_owned(), "".into())),
        }
        if variants.delegate {
            let host = json!({ "userId": message.sender_user_id, "nick": message.sender_nick });
            let recent = json!([{
                "readStatus": "2",
                "senderUserId": message.sender_user_id,
                "sendTime": message.created_at,
            }]);
            patch.insert("hostingContext".to_owned(), host);
            patch.insert("conversationMsgContext".to_owned(), recent);
        }
        patch
    }

    fn body(
        &mut self,
        speech: &Speech,
        message: &RobotMessage,
        beside: &mut Map<String, Value>,
        now: Moment,
    ) -> (&'static str, Value) {
        let Self { mint, number, api, people, robot_dingtalk_id, .. } = self;
        let codes = std::cell::RefCell::new(&mut *mint);
        let mut keep = |file: Media| {
            let mut mint = codes.borrow_mut();
            let kept = api.media.sent_by_person(&mut mint, *number, file, now);
            kept.id.clone()
        };
        let (name, mut body) = speech.content.body(&mut keep);
        if message.kind == ConversationKind::Group && name == "text" {
            // DingTalk cuts the mention out and leaves the blank before it.
            let words = body["content"].as_str().unwrap_or_default();
            body["content"] = format!(" {words}").into();
        }
        let as_string = speech.variants.duration_as_string;
        if let (Some(as_string), Some(duration)) = (as_string, body.get("duration").cloned()) {
            let text = duration.as_str().map_or_else(|| duration.to_string(), str::to_owned);
            let number = text.parse::<i64>().ok().filter(|_| !as_string);
            body["duration"] = number.map_or_else(|| text.into(), Value::from);
        }
        if let (Some(quote), Some(members)) = (&speech.quote, body.as_object_mut()) {
            let mut settled = |quote: &Quote| {
                let known = quote.from.as_deref().and_then(|id| people.get(id));
                let (sender_id, sender_nick) = match (known, &quote.from, &quote.robot_key) {
                    (Some(person), ..) => (person.dingtalk_id.clone(), person.nick.clone()),
                    (None, Some(id), _) => (codes.borrow_mut().dingtalk_id(), id.clone()),
                    (None, None, Some(_)) => (robot_dingtalk_id.clone(), "robot".to_owned()),
                    _ => (message.sender_dingtalk_id.clone(), message.sender_nick.clone()),
                };
                quote::Settled {
                    msg_id: quote.msg_id.clone().unwrap_or_else(|| codes.borrow_mut().msg_id()),
                    sender_id,
                    sender_nick,
                    created_at: quote.created_at.unwrap_or(message.created_at - 60_000),
                }
            };
            let body = (name == "content", members);
            quote::write(quote, &mut settled, &mut keep, body, beside);
        }
        if speech.variants.content_as_string && name == "content" {
            body = body.to_string().into();
        }
        (name, body)
    }
}
