//! Messages the robot sends, as each API wants them written.
//!
//! Sources: open.dingtalk.com, 自定义机器人接入 (sessionWebhook bodies, in HTTP 200 `errcode`), and
//! 企业机器人发送消息的消息类型 (`msgKey` and `msgParam`).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Bytes that the HTTP body of a `sessionWebhook` call may have (460101 beyond).
pub const MAX_WEBHOOK_BODY: usize = 20_000;
/// Bytes that `msgParam` may have (`invalidParameter.msgParam.tooLong` beyond).
pub const MAX_MSG_PARAM: usize = 15_000;
/// People that one message may mention.
pub const MAX_MENTIONS: usize = 50;

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
    /// A voice that was uploaded: amr or ogg. Only the robot API carries it.
    Audio {
        /// `media_id` of `media/upload`.
        media_id: String,
        /// How long it is, in milliseconds.
        duration_ms: u64,
    },
    /// A video that was uploaded: mp4. Only the robot API carries it.
    Video {
        /// `media_id` of `media/upload`.
        media_id: String,
        /// `media_id` of the picture that is shown before it plays.
        cover_media_id: String,
        /// How long it is, in milliseconds.
        duration_ms: u64,
    },
    /// A preview of a page.
    Link {
        /// First line; mandatory.
        title: String,
        /// What is below; mandatory.
        text: String,
        /// The page.
        message_url: String,
        /// Address of a picture; empty for none.
        pic_url: String,
    },
    /// Words with buttons.
    ActionCard {
        /// Preview in the conversation list; mandatory.
        title: String,
        /// Body, in Markdown; mandatory.
        text: String,
        /// One or more. The robot API knows at most five; more become links in Markdown.
        buttons: Vec<CardButton>,
        /// Two buttons stand side by side.
        horizontal: bool,
    },
    /// A message that calls somebody's attention. Only the `sessionWebhook` does; by the robot API it is
    /// the same message without the call.
    Mention {
        /// Text, Markdown or an action card.
        message: Box<RobotMessage>,
        /// `atUserIds`: userIds, at most [`MAX_MENTIONS`].
        user_ids: Vec<String>,
        /// `isAtAll`: everybody in the group.
        everybody: bool,
    },
}

/// A button of an action card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardButton {
    /// Its words.
    pub title: String,
    /// What it opens.
    pub url: String,
}

/// Buttons of an action card of the robot API.
const MAX_BUTTONS: usize = 5;

impl RobotMessage {
    /// Body of `POST {sessionWebhook}`; `None` for what it does not carry.
    pub fn webhook_body(&self) -> Option<Value> {
        Some(match self {
            Self::Text(content) => json!({ "msgtype": "text", "text": { "content": content } }),
            Self::Markdown { title, text } => {
                json!({ "msgtype": "markdown", "markdown": { "title": title, "text": text } })
            }
            Self::Link { title, text, message_url, pic_url } => json!({
                "msgtype": "link",
                "link": {
                    "title": title, "text": text, "messageUrl": message_url, "picUrl": pic_url,
                },
            }),
            Self::ActionCard { title, text, buttons, horizontal } => {
                let mut card = json!({
                    "title": title,
                    "text": text,
                    "btnOrientation": if *horizontal { "1" } else { "0" },
                });
                match buttons.as_slice() {
                    [] => return self.as_markdown()?.webhook_body(),
                    [button] => {
                        card["singleTitle"] = button.title.as_str().into();
                        card["singleURL"] = button.url.as_str().into();
                    }
                    several => {
                        let button =
                            |b: &CardButton| json!({ "title": b.title, "actionURL": b.url });
                        card["btns"] = several.iter().map(button).collect();
                    }
                }
                json!({ "msgtype": "actionCard", "actionCard": card })
            }
            Self::Mention { message, user_ids, everybody } => {
                let user_ids = &user_ids[..user_ids.len().min(MAX_MENTIONS)];
                let mut body = message.naming(user_ids).webhook_body()?;
                body["at"] = json!({ "atUserIds": user_ids, "isAtAll": everybody });
                body
            }
            Self::Image { .. } | Self::File { .. } | Self::Audio { .. } | Self::Video { .. } => {
                return None;
            }
        })
    }

    /// `msgKey` of the robot OpenAPI.
    pub fn msg_key(&self) -> &'static str {
        match self {
            Self::Text(_) => "sampleText",
            Self::Markdown { .. } => "sampleMarkdown",
            Self::Image { .. } => "sampleImageMsg",
            Self::File { .. } => "sampleFile",
            Self::Audio { .. } => "sampleAudio",
            Self::Video { .. } => "sampleVideo",
            Self::Link { .. } => "sampleLink",
            Self::ActionCard { buttons, horizontal, .. } => match (buttons.len(), horizontal) {
                (1, _) => "sampleActionCard",
                (2, true) => "sampleActionCard6",
                (2, false) => "sampleActionCard2",
                (3, _) => "sampleActionCard3",
                (4, _) => "sampleActionCard4",
                (MAX_BUTTONS, _) => "sampleActionCard5",
                _ => "sampleMarkdown",
            },
            Self::Mention { message, .. } => message.msg_key(),
        }
    }

    /// `msgParam` of the robot OpenAPI: JSON text, [`MAX_MSG_PARAM`] bytes at most. Every value is a
    /// string.
    pub fn msg_param(&self) -> String {
        match self {
            Self::Text(content) => json!({ "content": content }),
            Self::Markdown { title, text } => json!({ "title": title, "text": text }),
            Self::Image { media_id } => json!({ "photoURL": media_id }),
            Self::File { media_id, name } => {
                let kind = name.rsplit_once('.').map_or("file", |(_, extension)| extension);
                json!({ "mediaId": media_id, "fileName": name, "fileType": kind })
            }
            // Here in milliseconds, for a video in seconds.
            Self::Audio { media_id, duration_ms } => {
                json!({ "mediaId": media_id, "duration": duration_ms.to_string() })
            }
            Self::Video { media_id, cover_media_id, duration_ms } => json!({
                "videoMediaId": media_id,
                "videoType": "mp4",
                "picMediaId": cover_media_id,
                "duration": duration_ms.div_ceil(1_000).to_string(),
            }),
            Self::Link { title, text, message_url, pic_url } => json!({
                "title": title, "text": text, "messageUrl": message_url, "picUrl": pic_url,
            }),
            Self::ActionCard { title, text, buttons, horizontal } => {
                match self.as_markdown() {
                    Some(markdown) if !(1..=MAX_BUTTONS).contains(&buttons.len()) => {
                        return markdown.msg_param();
                    }
                    _ => {}
                }
                let mut param = Map::new();
                param.insert("title".to_owned(), title.as_str().into());
                param.insert("text".to_owned(), text.as_str().into());
                for (button, number) in buttons.iter().zip(1..) {
                    let (title, url) = match (buttons.len(), horizontal) {
                        (1, _) => ("singleTitle".to_owned(), "singleURL".to_owned()),
                        // Spelt like no other.
                        (2, true) => (format!("buttonTitle{number}"), format!("buttonUrl{number}")),
                        _ => (format!("actionTitle{number}"), format!("actionURL{number}")),
                    };
                    param.insert(title, button.title.as_str().into());
                    param.insert(url, button.url.as_str().into());
                }
                Value::Object(param)
            }
            Self::Mention { message, .. } => return message.msg_param(),
        }
        .to_string()
    }

    /// What a person reads of it, for whoever wants to know later what was said.
    pub fn words(&self) -> String {
        match self {
            Self::Text(text) | Self::Markdown { text, .. } => text.clone(),
            Self::Image { .. } => "[picture]".to_owned(),
            Self::File { name, .. } => format!("[file: {name}]"),
            Self::Audio { .. } => "[audio]".to_owned(),
            Self::Video { .. } => "[video]".to_owned(),
            Self::Link { title, text, message_url, .. } => {
                format!("{title}\n{text}\n{message_url}")
            }
            Self::ActionCard { text, buttons, .. } => with_links(text, buttons),
            Self::Mention { message, .. } => message.words(),
        }
    }

    /// Whether both APIs take it, as far as bytes go.
    pub fn fits(&self) -> bool {
        let body = self.webhook_body();
        self.msg_param().len() <= MAX_MSG_PARAM
            && body.is_none_or(|body| body.to_string().len() <= MAX_WEBHOOK_BODY)
    }

    /// An action card without buttons: they are links.
    fn as_markdown(&self) -> Option<Self> {
        let Self::ActionCard { title, text, buttons, .. } = self else { return None };
        Some(Self::Markdown { title: title.clone(), text: with_links(text, buttons) })
    }

    /// Names people in its words: without that nobody is called.
    fn naming(&self, user_ids: &[String]) -> Self {
        let named = |text: &String| {
            let mut text = text.clone();
            for id in user_ids.iter().filter(|id| !self.words().contains(&format!("@{id}"))) {
                // Writing to a string does not fail.
                let _ = write!(text, " @{id}");
            }
            text
        };
        match self.clone() {
            Self::Text(text) => Self::Text(named(&text)),
            Self::Markdown { title, text } => Self::Markdown { title, text: named(&text) },
            Self::ActionCard { title, text, buttons, horizontal } => {
                Self::ActionCard { title, text: named(&text), buttons, horizontal }
            }
            other => other,
        }
    }
}

fn with_links(text: &str, buttons: &[CardButton]) -> String {
    let links = buttons.iter().map(|button| format!("\n\n[{}]({})", button.title, button.url));
    text.chars().chain(links.collect::<String>().chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(count: usize, horizontal: bool) -> RobotMessage {
        let button = |n| CardButton { title: format!("B{n}"), url: format!("https://b/{n}") };
        let buttons = (1..=count).map(button).collect();
        let (title, text) = ("T".to_owned(), "body".to_owned());
        RobotMessage::ActionCard { title, text, buttons, horizontal }
    }

    #[test]
    fn each_kind_is_written_as_both_apis_want_it() {
        let link = RobotMessage::Link {
            title: "T".to_owned(),
            text: "body".to_owned(),
            message_url: "https://x".to_owned(),
            pic_url: String::new(),
        };
        let id = || "@m".to_owned();
        let mention = |message| RobotMessage::Mention {
            message: Box::new(message),
            user_ids: vec!["user0001".to_owned(), "user0002".to_owned()],
            everybody: false,
        };
        let mut shown = String::new();
        for message in [
            RobotMessage::Text("a\n\"b\"".to_owned()),
            RobotMessage::Markdown { title: "T".to_owned(), text: "# x".to_owned() },
            link,
            card(0, false),
            card(1, false),
            card(2, true),
            card(2, false),
            card(5, false),
            card(6, false),
            RobotMessage::Image { media_id: id() },
            RobotMessage::File { media_id: id(), name: "a.pdf".to_owned() },
            RobotMessage::Audio { media_id: id(), duration_ms: 1_500 },
            RobotMessage::Video { media_id: id(), cover_media_id: id(), duration_ms: 1_500 },
            mention(RobotMessage::Text("hi @user0002".to_owned())),
            mention(card(1, false)),
        ] {
            let body = message.webhook_body().map_or("nothing".to_owned(), |b| b.to_string());
            let (key, param) = (message.msg_key(), message.msg_param());
            writeln!(shown, "webhook {body}\nrobot   {key} {param}\n").unwrap();
            let kept = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<RobotMessage>(&kept).unwrap(), message);
        }
        insta::assert_snapshot!(shown);
    }
}
