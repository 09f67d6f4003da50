//! `groupMessages/send` and `privateChatMessages/send`: a message into a chat.

use serde_json::json;

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    msg_key,
    pushes::{Aim, Push},
};
use crate::core::{
    app::{App, Cx},
    conversation::ConversationKind,
    sent::SentRow,
};

const SEE: &str = "openapi.md 4.2 and 4.8 (KB 0716, KB 0699)";
const SEE_PRIVATE: &str = "openapi.md 4.3 (KB 0715)";

/// `POST /v1.0/robot/groupMessages/send`.
pub(super) fn group(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object("invalidParameter.param.invalid", SEE)?;
    send(cx, app, ask, body, Aim::Group)
}

/// `POST /v1.0/robot/privateChatMessages/send`. The mock has no chats between two people; a
/// person's chat with the robot stands in for one.
pub(super) fn private(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object("invalidParameter.param.invalid", SEE_PRIVATE)?;
    body.required("coolAppCode", "invalidParameter.robotCode.coolApp", SEE_PRIVATE)?;
    send(cx, app, ask, body, Aim::Private)
}

fn send(
    cx: &mut Cx<'_>,
    app: &mut App,
    ask: &Ask<'_>,
    body: Fields<'_>,
    aim: Aim,
) -> Result<Reply, Reply> {
    msg_key::check_robot(app, body, SEE)?;
    let conversation_id = chat(app, body, aim, SEE)?;
    msg_key::check_length(body, SEE)?;
    let message = msg_key::read(app, body)?;
    let key = app.mint.process_query_key();
    let to = match app.conversations.get(&conversation_id) {
        Some(chat) if aim == Aim::Private => chat.user_id.clone().unwrap_or_default(),
        _ => conversation_id.clone(),
    };
    let row = SentRow {
        seq: app.sent.next_number(),
        via: if aim == Aim::Group { "groupMessages" } else { "privateChatMessages" },
        to: to.clone(),
        conversation_id: conversation_id.clone(),
        msgtype: message.msgtype.to_owned(),
        text: message.text,
        media: message.media,
        raw: ask.json.cloned().unwrap_or_default(),
        in_reply_to: None,
        process_query_key: Some(key.clone()),
        recalled: false,
        finished: true,
        at: cx.now.unix_ms,
    };
    let seqs = vec![row.seq];
    app.record_sent(cx, row);
    app.api.pushes.add(Push {
        key: key.clone(),
        aim,
        conversation_id,
        to: if aim == Aim::Private { vec![to] } else { Vec::new() },
        seqs,
        at: cx.now.since_start,
        recalled: false,
        read: std::collections::BTreeMap::new(),
    });
    Ok(Reply::ok(json!({ "processQueryKey": key })))
}

/// The chat that `openConversationId` names, if it is of the right kind.
pub(super) fn chat(
    app: &App,
    body: Fields<'_>,
    aim: Aim,
    see: &'static str,
) -> Result<String, Reply> {
    let id = body.required("openConversationId", "miss.openConversationId", see)?;
    let kind = match aim {
        Aim::Group => ConversationKind::Group,
        Aim::Direct | Aim::Private => ConversationKind::Direct,
    };
    match app.conversations.get(id) {
        Some(chat) if chat.kind == kind => Ok(id.to_owned()),
        Some(_) => {
            let problem = format!("{id:?} is a chat of the other kind");
            Err(refuse("invalid.openConversationId", problem, "a chat of this kind", see))
        }
        None => {
            let problem = format!("the app knows no chat {id:?}");
            let expected = "the conversationId of a message, or one that the control API made";
            Err(refuse("invalid.openConversationId", problem, expected, see))
        }
    }
}
