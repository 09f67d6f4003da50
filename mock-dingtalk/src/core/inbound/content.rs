//! What a person sends: the type, the members of the body, the files in it.

use serde_json::{Map, Value, json};

use super::Sample;
use crate::core::{Media, group_file};

/// `msgtype` of what a person sends (openapi.md 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MsgType {
    /// `text`
    Text,
    /// `richText`: text, pictures and more in one message.
    RichText,
    /// `picture`
    Picture,
    /// `audio`, direct chats only.
    Audio,
    /// `video`, direct chats only.
    Video,
    /// `file`, direct chats only.
    File,
    /// `unknownMsgType`: places, stickers, contact cards and what else a robot cannot receive.
    Unknown,
    /// `markdown`: a robot's message, forwarded.
    Markdown,
    /// `actionCard`: a robot's card, forwarded. Seen in one connector's code only.
    ActionCard,
    /// `interactiveCard`: a document or a file of the drive, shared.
    InteractiveCard,
    /// `chatRecord`: several messages, forwarded as one.
    ChatRecord,
    /// `reply`: words that quote, as some clients send them. Seen in one connector's code only,
    /// which reads the body as that of a `text`.
    Reply,
}

impl MsgType {
    /// Each type with its name on the wire.
    pub(crate) const NAMES: [(&'static str, Self); 12] = [
        ("text", Self::Text),
        ("richText", Self::RichText),
        ("picture", Self::Picture),
        ("audio", Self::Audio),
        ("video", Self::Video),
        ("file", Self::File),
        ("unknownMsgType", Self::Unknown),
        ("markdown", Self::Markdown),
        ("actionCard", Self::ActionCard),
        ("interactiveCard", Self::InteractiveCard),
        ("chatRecord", Self::ChatRecord),
        ("reply", Self::Reply),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, known)| *known == self);
        named.expect("every type has its name in the table").0
    }

    /// Whether it can be sent in direct chats only: a group's message reaches the robot by a
    /// mention, and these can't carry one (KB 0699).
    pub fn is_direct_only(self) -> bool {
        matches!(self, Self::Audio | Self::Video | Self::File)
    }

    /// The kind of file that it carries, made when none is given.
    pub(crate) fn sample(self) -> Option<Sample> {
        Some(match self {
            Self::Picture => Sample::Png,
            Self::Audio => Sample::Amr,
            Self::Video => Sample::Mp4,
            Self::File => Sample::Pdf,
            _ => return None,
        })
    }

    /// How many files it can carry.
    pub(crate) fn max_files(self) -> usize {
        match self {
            Self::RichText => MAX_PARTS,
            _ => usize::from(self.sample().is_some()),
        }
    }
}

/// Parts of one `richText`. Our bound.
pub(crate) const MAX_PARTS: usize = 100;

/// What a person sends, without who and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// `msgtype`.
    pub msgtype: MsgType,
    /// The words: of a `text` or a `markdown`; what was understood of an `audio`
    /// (`recognition`); the sentence of an `unknownMsgType`.
    pub text: Option<String>,
    /// Members of `content` that are put in as they stand; they win over what the mock makes.
    pub members: Map<String, Value>,
    /// The files, in the order of the parts that carry one. What is missing is made up.
    pub media: Vec<Media>,
}

impl Content {
    /// An empty body of this type; the mock fills it in.
    pub fn of(msgtype: MsgType) -> Self {
        Self { msgtype, text: None, members: Map::new(), media: Vec::new() }
    }

    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::of(MsgType::Text) }
    }

    /// Text and pictures. Parts are as on the wire: `{"text":…}` without a type,
    /// `{"type":"picture"}`, `{"type":"at","atName","atUserId"}`, `{"type":"skill","skillData"}`,
    /// and `{"type":"video"|"audio"|"file"}`. Parts that carry a file and have no `downloadCode`
    /// take the next of `media`.
    pub fn rich_text(parts: Vec<Value>, media: Vec<Media>) -> Self {
        let members = Map::from_iter([("richText".to_owned(), Value::Array(parts))]);
        Self { members, media, ..Self::of(MsgType::RichText) }
    }

    /// A picture.
    pub fn picture(media: Media) -> Self {
        Self { media: vec![media], ..Self::of(MsgType::Picture) }
    }

    /// A voice message, and what DingTalk understood of it.
    pub fn audio(media: Media, recognition: impl Into<String>) -> Self {
        Self { media: vec![media], text: Some(recognition.into()), ..Self::of(MsgType::Audio) }
    }

    /// A video.
    pub fn video(media: Media) -> Self {
        Self { media: vec![media], ..Self::of(MsgType::Video) }
    }

    /// A file.
    pub fn file(media: Media) -> Self {
        Self { media: vec![media], ..Self::of(MsgType::File) }
    }

    /// A robot's Markdown, forwarded; in the form `"text":{"content":…}`. The other form that was
    /// seen is [`Content::of`] with `text` among its members.
    pub fn markdown(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::of(MsgType::Markdown) }
    }

    /// Sets a member of `content`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The part types of `richText` that carry a file, and what is made up for each.
    pub(super) fn part_sample(part: &Value) -> Option<Sample> {
        match part.get("type").or_else(|| part.get("msgType")).and_then(Value::as_str) {
            Some("picture") => Some(Sample::Png),
            Some("video") => Some(Sample::Mp4),
            Some("audio") => Some(Sample::Amr),
            Some("file") => Some(Sample::Pdf),
            _ => None,
        }
    }

    /// The member that holds the body, and the body. `keep` stores a file and gives its code.
    pub(super) fn body(&self, keep: &mut dyn FnMut(Media) -> String) -> (&'static str, Value) {
        let words = || self.text.clone().unwrap_or_default();
        let made = match self.msgtype {
            MsgType::Text => return ("text", json!({ "content": words() })),
            MsgType::Reply => {
                return ("text", json!({ "content": words(), "isReplyMsg": true }));
            }
            MsgType::Markdown if self.members.is_empty() => {
                return ("text", json!({ "content": words() }));
            }
            MsgType::Markdown => json!({}),
            // The old name of the list; the members bring it.
            MsgType::RichText if self.members.contains_key("richTextList") => json!({}),
            MsgType::RichText => json!({ "richText": self.parts(keep) }),
            MsgType::Picture => {
                let media = self.first_file();
                let code = self.code_or(|| keep(media.clone()));
                json!({ "downloadCode": code, "pictureDownloadCode": keep(media) })
            }
            MsgType::Audio => {
                let code = self.code_or(|| keep(self.first_file()));
                let mut made = json!({ "duration": 4000, "downloadCode": code });
                if let Some(recognition) = &self.text {
                    made["recognition"] = recognition.as_str().into();
                }
                made
            }
            MsgType::Video => {
                let code = self.code_or(|| keep(self.first_file()));
                json!({ "duration": 4000, "videoType": "mp4", "downloadCode": code })
            }
            MsgType::File => {
                let media = self.first_file();
                json!({
                    "fileName": media.name,
                    "downloadCode": self.code_or(|| keep(media)),
                    "spaceId": group_file::SPACE,
                    "fileId": group_file::FILE,
                })
            }
            MsgType::Unknown => {
                let words = self.text.as_deref().unwrap_or("用户发送了一条机器人无法接收的消息");
                json!({ "unknownMsgType": words })
            }
            MsgType::ActionCard => json!({
                "title": "A card",
                "text": words(),
                "actionUrlItemList": [{ "actionUrl": "https://example.com/" }],
            }),
            MsgType::InteractiveCard => json!({ "biz_custom_action_url":
                "dingtalk://dingtalkclient/page/yunpan?route=previewDentry&spaceId=22300001\
                 &fileId=11700001&type=file" }),
            MsgType::ChatRecord => json!({
                "title": "Chat record",
                "summary": "Ada:hi\nBob:[图片]",
                "chatRecord": json!([
                    { "senderName": "Ada", "content": "hi" },
                    { "senderName": "Bob", "content": "[图片]" },
                ]).to_string(),
            }),
        };
        let Value::Object(mut made) = made else { unreachable!("bodies are made as objects") };
        for (name, value) in &self.members {
            if !(self.msgtype == MsgType::RichText && name == "richText") {
                made.insert(name.clone(), value.clone());
            }
        }
        ("content", Value::Object(made))
    }

    fn first_file(&self) -> Media {
        self.media.first().cloned().unwrap_or_else(|| {
            self.msgtype.sample().expect("it is asked of types with a file only").media()
        })
    }

    /// The code among the members, which will win anyway, else a new one.
    fn code_or(&self, keep: impl FnOnce() -> String) -> Value {
        self.members.get("downloadCode").cloned().unwrap_or_else(|| keep().into())
    }

    /// The parts of `richText`, each file with its code.
    fn parts(&self, keep: &mut dyn FnMut(Media) -> String) -> Vec<Value> {
        let given = self.members.get("richText").and_then(Value::as_array).cloned();
        let parts = given.unwrap_or_else(|| {
            vec![
                json!({ "text": self.text.as_deref().unwrap_or("see: ") }),
                json!({"type": "picture"}),
            ]
        });
        let mut files = self.media.iter();
        let mut filled = Vec::new();
        for mut part in parts {
            if let Some(sample) = Self::part_sample(&part)
                && part.get("downloadCode").is_none()
            {
                let media = files.next().cloned().unwrap_or_else(|| sample.media());
                if sample == Sample::Png {
                    part["pictureDownloadCode"] = keep(media.clone()).into();
                } else if part.get("fileName").is_none() {
                    part["fileName"] = media.name.as_str().into();
                }
                part["downloadCode"] = keep(media).into();
            }
            filled.push(part);
        }
        filled
    }
}
