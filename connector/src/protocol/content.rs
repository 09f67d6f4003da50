//! What was written: the body of a robot message, by `msgtype`.
//!
//! Sources: open.dingtalk.com, 机器人接收消息; shapes that clients were seen to send beyond it are in
//! `fixtures/stream/callback_bot_*`. Every reader takes what it can use and skips the rest.

use serde_json::{Map, Value};
use url::Url;

use super::lenient;

/// Body of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// `text`, trimmed: in groups the mention of the robot is cut off and its blank stays behind.
    Text(String),
    /// `richText`: parts in their order, at least one.
    RichText(Vec<Part>),
    /// `picture`.
    Picture(Media),
    /// `audio`: the recording, and what DingTalk heard in it.
    Audio {
        /// The recording.
        media: Media,
        /// `recognition`: the words; absent where none were recognised.
        recognition: Option<String>,
    },
    /// `video`.
    Video(Media),
    /// `file`.
    File(Media),
    /// `markdown`: a forwarded message of a robot.
    Markdown(String),
    /// `actionCard`: a forwarded card.
    ActionCard {
        /// Its heading.
        title: Option<String>,
        /// Its Markdown.
        text: Option<String>,
        /// `actionUrl` of its buttons.
        urls: Vec<String>,
    },
    /// `interactiveCard`: a document or file of DingTalk's drive that was shared.
    Document {
        /// `biz_custom_action_url`.
        url: String,
        /// Where the drive has it, if the address tells.
        place: Option<DrivePlace>,
    },
    /// `chatRecord`: messages that were forwarded together.
    ChatRecord {
        /// Heading.
        title: Option<String>,
        /// What the card shows, a line each.
        summary: Option<String>,
        /// The messages, as far as they came.
        entries: Vec<RecordEntry>,
    },
    /// `errorCode` 20001: the organisation's monthly quota of received messages is used up, and the
    /// words were withheld.
    QuotaExhausted,
    /// A body that has no reader here.
    Unsupported {
        /// The `msgtype` as sent; empty when absent.
        msgtype: String,
        /// What DingTalk says about it (`unknownMsgType`).
        note: Option<String>,
    },
}

/// A part of `richText`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Words, blanks and line breaks kept.
    Text(String),
    /// Somebody was mentioned; the name without the sign.
    At(String),
    /// A picture.
    Picture(Media),
    /// A recording.
    Audio(Media),
    /// A video.
    Video(Media),
    /// A file.
    File(Media),
    /// The name of a skill or of a custom emoji.
    Named(String),
}

/// Something that can be downloaded by `robot/messageFiles/download`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Media {
    /// `downloadCode`; `pictureDownloadCode` where only that came. Quoted files may come without.
    pub download_code: Option<String>,
    /// `fileName`; files only.
    pub file_name: Option<String>,
    /// Where the drive has it; files only.
    pub place: Option<DrivePlace>,
    /// `duration` in milliseconds; voices only, since nobody says in what a video's is.
    pub duration_ms: Option<u64>,
}

/// A file of DingTalk's drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrivePlace {
    /// `spaceId`.
    pub space_id: String,
    /// `fileId`, elsewhere called `dentryId`.
    pub file_id: String,
}

/// One message of a `chatRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEntry {
    /// Who wrote it.
    pub sender: Option<String>,
    /// The words, or a mark such as `[图片]`.
    pub text: String,
}

impl Content {
    /// Reads a body. `text` is what stands under the message's `text`, `content` what stands under its
    /// `content`; a quoted message has both under `content`.
    pub(super) fn read(msgtype: &str, text: &Body, content: &Body) -> Self {
        let words = || text.words().or_else(|| content.words());
        let found = match msgtype.to_ascii_lowercase().as_str() {
            "" | "text" | "reply" => match words() {
                Some(words) => Some(Self::Text(words.trim().to_owned())),
                None => rich_text(content),
            },
            "richtext" => rich_text(content).or_else(|| rich_text(text)),
            "picture" | "image" => media(content).map(Self::Picture),
            "audio" | "voice" => audio(content),
            "video" => media(content).map(Self::Video),
            "file" => media(content).map(Self::File),
            "markdown" => words().map(Self::Markdown),
            "actioncard" => action_card(content),
            "interactivecard" => document(content),
            "chatrecord" => chat_record(content),
            _ => None,
        };
        found.unwrap_or_else(|| Self::Unsupported {
            msgtype: msgtype.to_owned(),
            note: content.string("unknownMsgType"),
        })
    }

    /// Reads the body of a quoted message that does not say what it is.
    pub(super) fn guess(content: &Body) -> Option<Self> {
        if let Some(words) = content.words() {
            return Some(Self::Text(words.trim().to_owned()));
        }
        if content.string("fileName").is_some() {
            return media(content).map(Self::File);
        }
        rich_text(content)
            .or_else(|| document(content))
            .or_else(|| chat_record(content))
            .or_else(|| media(content).map(Self::Picture))
    }
}

/// An object of a body: as it is, as JSON text, or just words where an object is expected.
#[derive(Debug)]
pub(super) enum Body {
    Members(Map<String, Value>),
    Words(String),
    Nothing,
}

impl Body {
    pub(super) fn of(value: Option<&Value>) -> Self {
        match value {
            Some(Value::Object(members)) => Self::Members(members.clone()),
            Some(Value::String(text)) => match lenient::document::<Value>(text) {
                Ok(Value::Object(members)) => Self::Members(members),
                _ => Self::Words(text.clone()),
            },
            _ => Self::Nothing,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Members(members) => members.get(name),
            Self::Words(_) | Self::Nothing => None,
        }
    }

    /// A member that is a scalar and not empty.
    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.get(name).and_then(lenient::scalar).filter(|text| !text.trim().is_empty())
    }

    fn words(&self) -> Option<String> {
        match self {
            Self::Words(words) => Some(words.clone()),
            _ => self.get("content").or_else(|| self.get("text")).and_then(lenient::scalar),
        }
    }
}

/// A list that stands under one of these names, as it is or as JSON text.
fn list(body: &Body, names: &[&str]) -> Option<Vec<Value>> {
    names.iter().find_map(|name| match body.get(name)? {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) => lenient::document(text).ok(),
        _ => None,
    })
}

fn media(body: &Body) -> Option<Media> {
    let download_code = body.string("downloadCode").or_else(|| body.string("pictureDownloadCode"));
    let place = body.string("spaceId").zip(body.string("fileId"));
    let media = Media {
        download_code,
        file_name: body.string("fileName"),
        place: place.map(|(space_id, file_id)| DrivePlace { space_id, file_id }),
        duration_ms: None,
    };
    (media != Media::default()).then_some(media)
}

/// The words alone are worth reading, too.
fn audio(body: &Body) -> Option<Content> {
    let recognition = body.string("recognition").map(|words| words.trim().to_owned());
    let duration_ms = body.string("duration").and_then(|text| text.trim().parse().ok());
    let media = media(body).map(|media| Media { duration_ms, ..media });
    let media = media.or_else(|| recognition.as_ref().map(|_| Media::default()))?;
    Some(Content::Audio { media, recognition })
}

fn rich_text(body: &Body) -> Option<Content> {
    let parts = match list(body, &["richText", "richTextList"]) {
        Some(parts) => parts,
        // An older form has the list one level deeper.
        None => list(&Body::of(body.get("richText")), &["richTextList"])?,
    };
    let parts: Vec<Part> = parts.iter().filter_map(part).collect();
    (!parts.is_empty()).then_some(Content::RichText(parts))
}

/// Parts say `type` and `text`; those of a quoted message `msgType` and `content`.
fn part(value: &Value) -> Option<Part> {
    let body = Body::of(Some(value));
    let kind = body.string("type").or_else(|| body.string("msgType")).unwrap_or_default();
    let words = || body.get("text").or_else(|| body.get("content")).and_then(lenient::scalar);
    match kind.to_ascii_lowercase().as_str() {
        "" | "text" => match words() {
            Some(words) => (!words.is_empty()).then_some(Part::Text(words)),
            None => media(&body).map(Part::Picture),
        },
        "picture" | "image" => media(&body).map(Part::Picture),
        "audio" | "voice" => media(&body).map(Part::Audio),
        "video" => media(&body).map(Part::Video),
        "file" => media(&body).map(Part::File),
        "at" => body.string("atName").or_else(words).map(Part::At),
        "skill" => Body::of(body.get("skillData")).string("displayName").map(Part::Named),
        _ => words().filter(|words| !words.is_empty()).map(Part::Named),
    }
}

fn action_card(body: &Body) -> Option<Content> {
    let urls = list(body, &["actionUrlItemList"]).unwrap_or_default();
    let urls: Vec<String> =
        urls.iter().filter_map(|item| Body::of(Some(item)).string("actionUrl")).collect();
    let (title, text) = (body.string("title"), body.string("text"));
    let something = title.is_some() || text.is_some() || !urls.is_empty();
    something.then_some(Content::ActionCard { title, text, urls })
}

fn document(body: &Body) -> Option<Content> {
    let url = body.string("biz_custom_action_url")?;
    let place = Url::parse(&url).ok().and_then(|parsed| {
        let of = |name: &str| {
            let found = parsed.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
        };
        let is_file = of("route").as_deref() == Some("previewDentry");
        let place = of("spaceId").zip(of("fileId")).filter(|_| is_file);
        place.map(|(space_id, file_id)| DrivePlace { space_id, file_id })
    });
    Some(Content::Document { url, place })
}

fn chat_record(body: &Body) -> Option<Content> {
    let entries = list(body, &["chatRecord", "records", "messages"]);
    let (title, summary) = (body.string("title"), body.string("summary"));
    if entries.is_none() && title.is_none() && summary.is_none() {
        return None;
    }
    let entries = entries.unwrap_or_default().iter().filter_map(record_entry).collect();
    Some(Content::ChatRecord { title, summary, entries })
}

fn record_entry(value: &Value) -> Option<RecordEntry> {
    let body = Body::of(Some(value));
    let sender = ["senderName", "senderNick", "sender", "senderId"];
    let sender = sender.iter().find_map(|name| body.string(name));
    let text = ["content", "text", "message", "body"].iter().find_map(|name| {
        body.string(name).or_else(|| match body.get(name)? {
            inner @ Value::Object(_) => Body::of(Some(inner)).string("text"),
            _ => None,
        })
    });
    // That somebody sent something is worth knowing, too.
    let kind = || Some(format!("[{}]", body.string("msgType").or_else(|| body.string("msgtype"))?));
    let text = text.or_else(kind)?;
    Some(RecordEntry { sender, text })
}
