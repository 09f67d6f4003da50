//! What a person says to the robot, and the `data` of the CALLBACK that carries it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    conversation::ConversationKind,
    memory::{block, map_bytes, texts},
};

/// A person speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// The user id; an unknown one creates that person.
    pub from: String,
    /// Where. Without it: the person's direct chat.
    pub conversation: Option<SayConversation>,
    /// What.
    pub text: String,
}

/// Where a person speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SayConversation {
    /// Direct chat or group.
    pub kind: ConversationKind,
    /// `conversationId`; an unknown one creates that chat.
    pub id: Option<String>,
    /// A group's title; finds the group when there is no id, and creates it if nobody has it.
    pub title: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// The chat message's id, the same on every redelivery.
    pub msg_id: String,
    /// The frame's id of the first push.
    pub message_id: String,
    /// The chat it was said in.
    pub conversation_id: String,
    /// Whether it went out.
    pub state: SaidState,
}

/// Whether a message went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SaidState {
    /// A connection took it.
    Pushed,
    /// Nobody was connected. DingTalk does not keep robot messages.
    Lost,
    /// Nobody was connected; an EVENT waits for the next connection.
    Queued,
}

/// A robot message before it is written for a certain connection.
#[derive(Debug, Clone)]
pub(crate) struct RobotMessage {
    pub(crate) conversation_id: String,
    pub(crate) conversation_title: Option<String>,
    pub(crate) kind: ConversationKind,
    pub(crate) corp_id: String,
    pub(crate) robot_dingtalk_id: String,
    pub(crate) robot_code: String,
    pub(crate) msg_id: String,
    pub(crate) sender_user_id: String,
    pub(crate) sender_nick: String,
    pub(crate) sender_dingtalk_id: String,
    pub(crate) text: String,
    pub(crate) created_at: i64,
    pub(crate) session_expires_at: i64,
    pub(crate) session: String,
    /// Members of `data` that replace those of a plain text message; null leaves one out.
    pub(crate) patch: Map<String, Value>,
}

impl RobotMessage {
    /// The JSON of `data`. `base` is `http://HOST` as the receiving connection knows the mock.
    pub(crate) fn data(&self, base: &str) -> String {
        let group = self.kind == ConversationKind::Group;
        let at_users = [AtUser { dingtalk_id: &self.robot_dingtalk_id }];
        let data = Data {
            conversation_id: &self.conversation_id,
            at_users: group.then_some(&at_users),
            chatbot_corp_id: &self.corp_id,
            chatbot_user_id: &self.robot_dingtalk_id,
            msg_id: &self.msg_id,
            sender_nick: &self.sender_nick,
            is_admin: false,
            sender_staff_id: &self.sender_user_id,
            session_webhook_expired_time: self.session_expires_at,
            create_at: self.created_at,
            sender_corp_id: &self.corp_id,
            conversation_type: self.kind,
            sender_id: &self.sender_dingtalk_id,
            conversation_title: self.conversation_title.as_deref(),
            is_in_at_list: group.then_some(true),
            session_webhook: session_webhook(base, &self.session),
            // DingTalk cuts the mention out of a group's text and leaves the blank before it.
            text: Text {
                content: if group { format!(" {}", self.text) } else { self.text.clone() },
            },
            robot_code: &self.robot_code,
            sender_platform: "Mac",
            msgtype: "text",
        };
        let always = "a message of strings is always JSON";
        if self.patch.is_empty() {
            return serde_json::to_string(&data).expect(always);
        }
        let mut data = serde_json::to_value(&data).expect(always);
        for (name, value) in &self.patch {
            match data.as_object_mut() {
                Some(members) if value.is_null() => drop(members.remove(name)),
                Some(members) => drop(members.insert(name.clone(), value.clone())),
                None => {}
            }
        }
        data.to_string()
    }

    /// The memory that it takes, more or less.
    pub(crate) fn bytes(&self) -> usize {
        let Self { conversation_id, corp_id, robot_dingtalk_id, robot_code, msg_id, .. } = self;
        let Self { sender_user_id, sender_nick, sender_dingtalk_id, text, session, .. } = self;
        let ids = [conversation_id, corp_id, robot_dingtalk_id, robot_code, msg_id, session];
        let words = [sender_user_id, sender_nick, sender_dingtalk_id, text];
        let all = ids.into_iter().chain(words).chain(&self.conversation_title);
        block(size_of::<Self>()) + texts(all.map(String::as_str)) + map_bytes(&self.patch)
    }
}

/// `http://HOST/robot/sendBySession?session=…`.
pub(crate) fn session_webhook(base: &str, session: &str) -> String {
    format!("{base}/robot/sendBySession?session={session}")
}

/// Field names and types as in openapi.md 2.1, from the documented samples.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    conversation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_users: Option<&'a [AtUser<'a>; 1]>,
    chatbot_corp_id: &'a str,
    chatbot_user_id: &'a str,
    msg_id: &'a str,
    sender_nick: &'a str,
    is_admin: bool,
    sender_staff_id: &'a str,
    session_webhook_expired_time: i64,
    create_at: i64,
    sender_corp_id: &'a str,
    conversation_type: ConversationKind,
    sender_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_in_at_list: Option<bool>,
    session_webhook: String,
    text: Text,
    robot_code: &'a str,
    sender_platform: &'static str,
    msgtype: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AtUser<'a> {
    dingtalk_id: &'a str,
}

#[derive(Serialize)]
struct Text {
    content: String,
}
