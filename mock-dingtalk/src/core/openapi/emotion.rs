//! `emotion/reply` and `emotion/recall`: the robot's reactions to messages of people.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    msg_key,
};
use crate::core::{
    app::{App, Cx},
    journal::{Diagnosis, Draft, EntryKind},
    lifetime,
};

const SEE: &str = "openapi.md 4.6 (aliyun/dingtalk-sdk robot_1_0 at eb93049)";

/// Bytes of a member of the body; our choice.
const MAX_TEXT: usize = 512;

/// A reaction that stands under a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReactionRow {
    /// The message, `msgId` of its CALLBACK.
    pub open_msg_id: String,
    /// The chat of the message.
    pub open_conversation_id: String,
    /// The words of the reaction.
    pub emotion_name: String,
    /// When, in milliseconds since 1970, on the app's clock.
    pub at: i64,
}

/// The reactions of one app's robot that were not taken back, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reactions {
    rows: std::collections::VecDeque<ReactionRow>,
}

impl Reactions {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> Vec<ReactionRow> {
        self.rows.iter().cloned().collect()
    }

    fn position(&self, msg_id: &str, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.open_msg_id == msg_id && row.emotion_name == name)
    }
}

/// `POST /v1.0/robot/emotion/reply`. The same reaction twice stands once.
pub(super) fn reply(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let row = read(cx, app, ask)?;
    if app.api.reactions.position(&row.open_msg_id, &row.emotion_name).is_none() {
        note(cx, app, "reacts", &row);
        let rows = &mut app.api.reactions.rows;
        if rows.len() >= lifetime::ROWS_PER_APP {
            rows.pop_front();
        }
        rows.push_back(row);
        app.changed(cx);
    }
    Ok(Reply::ok(json!({ "success": true })))
}

/// `POST /v1.0/robot/emotion/recall`. What is not there is taken back as well: DingTalk's answer
/// to that is not known.
pub(super) fn recall(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let row = read(cx, app, ask)?;
    let done = Reply::ok(json!({ "success": true }));
    match app.api.reactions.position(&row.open_msg_id, &row.emotion_name) {
        Some(index) => {
            app.api.reactions.rows.remove(index);
            note(cx, app, "takes a reaction back", &row);
            app.changed(cx);
            Ok(done)
        }
        None => Ok(done.diagnosed(Diagnosis::new(
            "the message has no such reaction",
            "the identical body of an earlier emotion/reply",
            SEE,
        ))),
    }
}

fn note(cx: &mut Cx<'_>, app: &App, what: &str, row: &ReactionRow) {
    let text = format!("the robot {what} on {}", row.open_msg_id);
    app.note(cx, Draft::new(EntryKind::Sent, text).body(row.emotion_name.as_str().into()));
}

/// Reads the body, the same for both calls. No page names the codes of this call: the shared
/// ones of the robot API stand in for them.
fn read(cx: &Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<ReactionRow, Reply> {
    const INVALID: &str = "invalidParameter.param.invalid";
    let body = ask.object(INVALID, SEE)?;
    msg_key::check_robot(app, body, SEE)?;
    let msg_id = body.required("openMsgId", INVALID, SEE)?;
    let chat = body.required("openConversationId", "miss.openConversationId", SEE)?;
    if !matches!(body.get("emotionType").and_then(Value::as_i64), Some(1 | 2)) {
        return Err(refuse(INVALID, "emotionType is missing or no number", "2", SEE));
    }
    let name = body.required("emotionName", INVALID, SEE)?;
    for (member, text) in
        [("emotionName", name), ("openMsgId", msg_id), ("openConversationId", chat)]
    {
        if text.len() > MAX_TEXT {
            let problem = format!("{member} has {} bytes", text.len());
            return Err(refuse(INVALID, problem, format!("at most {MAX_TEXT}"), SEE));
        }
    }
    if body.get("emotionType").and_then(Value::as_i64) == Some(2) {
        let Some(Value::Object(words)) = body.get("textEmotion") else {
            let problem = "textEmotion is missing or no object";
            return Err(refuse(INVALID, problem, "an object, with emotionType 2", SEE));
        };
        for member in ["emotionId", "emotionName", "text", "backgroundId"] {
            Fields(words).required(member, INVALID, SEE)?;
        }
    }
    if app.deliveries.conversation_of(msg_id) != Some(chat) {
        // What clients saw for a message that the service did not find yet.
        let diagnosis = Diagnosis::new(
            "no message with this openMsgId was said in this openConversationId",
            "msgId and conversationId of one CALLBACK",
            SEE,
        );
        let refusal = Reply::error(500, "system.err", "system.err").diagnosed(diagnosis);
        app.api.tolerate(refusal)?;
    }
    Ok(ReactionRow {
        open_msg_id: msg_id.to_owned(),
        open_conversation_id: chat.to_owned(),
        emotion_name: name.to_owned(),
        at: cx.now.unix_ms,
    })
}
