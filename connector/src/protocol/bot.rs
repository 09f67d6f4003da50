//! Robot messages: the `data` of a CALLBACK with topic `/v1.0/im/bot/messages/get`.
//!
//! Source: open.dingtalk.com, 机器人接收消息; field notes in the official Python, Go and Node SDKs.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::content::{Body, Content};
use super::id::{ConversationId, MsgId, RobotCode, SenderId, SenderStaffId};
use super::lenient;
use super::quote::Quote;

/// A message somebody wrote to the robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotMessage {
    /// Names the message, over redeliveries too. Absent in no real sample, yet not relied upon.
    pub msg_id: Option<MsgId>,
    /// The chat it was written in, and the address of an answer.
    pub conversation_id: ConversationId,
    /// Direct or group.
    pub conversation_type: ConversationType,
    /// Name of the group; groups only.
    pub conversation_title: Option<String>,
    /// Encrypted id of the writer.
    pub sender_id: Option<SenderId>,
    /// userId of the writer; absent for outsiders and before the app is published.
    pub sender_staff_id: Option<SenderStaffId>,
    /// Display name of the writer.
    pub sender_nick: Option<String>,
    /// Encrypted id of the robot itself.
    pub chatbot_user_id: Option<SenderId>,
    /// `isInAtList`: whether the robot was mentioned; groups only, and not in every real sample.
    pub is_in_at_list: Option<bool>,
    /// `dingtalkId` of everybody who was mentioned (`atUsers`).
    pub at_users: Vec<SenderId>,
    /// Code of the robot that was written to.
    pub robot_code: Option<RobotCode>,
    /// Where an answer may be posted without a token.
    pub session_webhook: Option<Url>,
    /// When that URL dies, in milliseconds since 1970 UTC; about 90 min after `createAt`.
    pub session_webhook_expired_time: Option<i64>,
    /// When it was written, in milliseconds since 1970 UTC.
    pub create_at: Option<i64>,
    /// What was written.
    pub content: Content,
    /// The message that it answers.
    pub quote: Option<Quote>,
}

/// `conversationType`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversationType {
    /// `"1"` 单聊: one person and the robot.
    Direct,
    /// `"2"` 群聊.
    Group,
    /// A value nobody documented.
    Unknown(String),
}

/// Why `data` is no robot message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BotMessageError {
    /// Not a JSON object.
    #[error("`data` is no JSON object")]
    NotAnObject,
    /// Without a conversation it cannot be answered or put in order.
    #[error("`data.conversationId` is missing")]
    NoConversation,
}

/// `errorCode` of a message whose words were withheld.
const QUOTA_EXHAUSTED: i64 = 20_001;

impl BotMessage {
    /// Whether it was written in a group.
    pub fn is_in_group(&self) -> bool {
        self.conversation_type == ConversationType::Group
    }

    /// Reads the `data` text of the frame.
    pub fn parse(data: &str) -> Result<Self, BotMessageError> {
        let message: Value = lenient::document(data).map_err(|_| BotMessageError::NotAnObject)?;
        if !message.is_object() {
            return Err(BotMessageError::NotAnObject);
        }
        let wire = Wire::deserialize(&message).map_err(|_| BotMessageError::NotAnObject)?;
        let conversation_id =
            present(wire.conversation_id).ok_or(BotMessageError::NoConversation)?;
        let (text, body) = (Body::of(message.get("text")), Body::of(message.get("content")));
        let content = match wire.error_code {
            Some(QUOTA_EXHAUSTED) => Content::QuotaExhausted,
            _ => Content::read(&wire.msgtype.unwrap_or_default(), &text, &body),
        };
        let quote = Quote::of(&message, &text, &body);
        Ok(Self {
            msg_id: present(wire.msg_id).map(MsgId::new),
            conversation_id: ConversationId::new(conversation_id),
            conversation_type: wire.conversation_type.unwrap_or_default().into(),
            conversation_title: present(wire.conversation_title),
            sender_id: present(wire.sender_id).map(SenderId::new),
            sender_staff_id: present(wire.sender_staff_id).map(SenderStaffId::new),
            sender_nick: present(wire.sender_nick),
            chatbot_user_id: present(wire.chatbot_user_id).map(SenderId::new),
            is_in_at_list: wire.is_in_at_list.as_deref().and_then(|flag| flag.parse().ok()),
            at_users: at_users(message.get("atUsers")),
            robot_code: present(wire.robot_code).map(RobotCode::new),
            session_webhook: wire.session_webhook.and_then(|u| Url::parse(&u).ok()),
            session_webhook_expired_time: wire.session_webhook_expired_time,
            create_at: wire.create_at,
            content,
            quote,
        })
    }

    /// Whether the robot itself wrote it; such a message must not be answered.
    pub fn is_own(&self) -> bool {
        self.sender_id.is_some() && self.sender_id == self.chatbot_user_id
    }

    /// Whether the robot was mentioned. DingTalk hands group messages to a robot when they mention it,
    /// so that one which does not say is taken for one that does.
    pub fn mentions_robot(&self) -> bool {
        let listed =
            self.chatbot_user_id.as_ref().is_some_and(|robot| self.at_users.contains(robot));
        listed || self.is_in_at_list.unwrap_or(true)
    }
}

impl From<String> for ConversationType {
    fn from(value: String) -> Self {
        match value.as_str() {
            "1" => Self::Direct,
            "2" => Self::Group,
            _ => Self::Unknown(value),
        }
    }
}

fn at_users(list: Option<&Value>) -> Vec<SenderId> {
    let id = |user: &Value| user.get("dingtalkId").and_then(lenient::scalar).map(SenderId::new);
    list.and_then(Value::as_array).into_iter().flatten().filter_map(id).collect()
}

/// An empty string stands for an absent one on this wire.
fn present(value: Option<String>) -> Option<String> {
    value.filter(|v| !v.is_empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default, deserialize_with = "lenient::text")]
    msg_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    conversation_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    conversation_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    conversation_title: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    sender_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    sender_staff_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    sender_nick: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    chatbot_user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    is_in_at_list: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    robot_code: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    session_webhook: Option<String>,
    #[serde(default, deserialize_with = "lenient::integer")]
    session_webhook_expired_time: Option<i64>,
    #[serde(default, deserialize_with = "lenient::integer")]
    create_at: Option<i64>,
    #[serde(default, deserialize_with = "lenient::text")]
    msgtype: Option<String>,
    #[serde(default, deserialize_with = "lenient::integer")]
    error_code: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(json: &str) -> Content {
        BotMessage::parse(&format!(r#"{{"conversationId":"c",{json}}}"#)).unwrap().content
    }

    #[test]
    fn text_is_found_in_every_form_it_comes_in() {
        for json in [
            r#""msgtype":"text","text":{"content":" hi "}"#,
            r#""msgtype":"Text","text":{"content":"hi"}"#,
            r#""text":{"content":"hi"}"#,
            r#""msgtype":"text","text":"{\"content\":\"hi\"}""#,
            r#""msgtype":"text","text":"hi""#,
        ] {
            assert_eq!(content(json), Content::Text("hi".into()), "{json}");
        }
    }

    #[test]
    fn other_types_are_named() {
        for (json, msgtype) in [
            (r#""msgtype":"picture","content":{}"#, "picture"),
            (r#""msgtype":"somethingNew","content":{"a":1}"#, "somethingNew"),
            (r#""msgtype":"text","text":{"content":null}"#, "text"),
            (r#""msgtype":"text""#, "text"),
            (r#""msgtype":7"#, "7"),
            (r#""text":[]"#, ""),
        ] {
            let expected = Content::Unsupported { msgtype: msgtype.into(), note: None };
            assert_eq!(content(json), expected, "{json}");
        }
    }

    #[test]
    fn conversation_types_come_as_text_or_number() {
        for (json, expected) in [
            (r#""1""#, ConversationType::Direct),
            ("1", ConversationType::Direct),
            ("2.0", ConversationType::Group),
            ("3", ConversationType::Unknown("3".into())),
        ] {
            let data = format!(r#"{{"conversationId":"c","conversationType":{json}}}"#);
            assert_eq!(BotMessage::parse(&data).unwrap().conversation_type, expected, "{json}");
        }
    }

    #[test]
    fn a_mention_is_found_in_either_place_and_only_denied_in_words() {
        for (json, expected) in [
            ("", true),
            (r#","isInAtList":true"#, true),
            (r#","isInAtList":false"#, false),
            (r#","isInAtList":"false""#, false),
            (r#","isInAtList":false,"chatbotUserId":"b","atUsers":[{"dingtalkId":"b"}]"#, true),
            (r#","isInAtList":false,"chatbotUserId":"b","atUsers":[{"dingtalkId":"c"}, 7]"#, false),
        ] {
            let message = BotMessage::parse(&format!(r#"{{"conversationId":"c"{json}}}"#)).unwrap();
            assert_eq!(message.mentions_robot(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_message_is_named() {
        assert_eq!(BotMessage::parse("hello"), Err(BotMessageError::NotAnObject));
        assert_eq!(BotMessage::parse("7"), Err(BotMessageError::NotAnObject));
        assert_eq!(BotMessage::parse("{}"), Err(BotMessageError::NoConversation));
    }
}
