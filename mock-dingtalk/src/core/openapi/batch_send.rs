//! `POST /v1.0/robot/oToMessages/batchSend`: messages to people, each in their direct chat.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    msg_key,
    pushes::{Aim, Push},
};
use crate::core::{
    app::{App, Cx},
    sent::SentRow,
};

const SEE: &str = "openapi.md 4.1 and 4.8 (KB 0714, KB 0699)";
/// The documented number.
const MAX_USERS: usize = 20;
/// What the text of the error says.
const MAX_USERS_SAID: usize = 100;

/// Takes a push. Unknown and throttled people are listed, the others get it all the same.
pub(super) fn answer(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object("invalidParameter.param.invalid", SEE)?;
    msg_key::check_robot(app, body, SEE)?;
    let user_ids = user_ids(app, body)?;
    if let Err(refusal) = msg_key::check_length(body, SEE) {
        app.api.tolerate(refusal)?;
    }
    let message = msg_key::read(app, body)?;
    let key = app.mint.process_query_key();
    let (mut unknown, mut throttled) = (Vec::new(), Vec::new());
    let (mut to, mut seqs) = (Vec::new(), Vec::new());
    for user_id in user_ids {
        let known = app.people.get(user_id).is_some();
        let chat = known.then(|| app.conversations.direct(&mut app.mint, user_id, None)).flatten();
        let Some(chat) = chat else {
            unknown.push(user_id);
            continue;
        };
        if app.api.limits.flow_controlled.contains(user_id) {
            throttled.push(user_id);
            continue;
        }
        let row = SentRow {
            seq: app.sent.next_number(),
            via: "batchSend",
            to: user_id.to_owned(),
            conversation_id: chat.id,
            msgtype: message.msgtype.to_owned(),
            text: message.text.clone(),
            media: message.media.clone(),
            raw: ask.json.cloned().unwrap_or_default(),
            in_reply_to: None,
            process_query_key: Some(key.clone()),
            recalled: false,
            finished: true,
            at: cx.now.unix_ms,
        };
        to.push(user_id.to_owned());
        seqs.push(row.seq);
        app.record_sent(cx, row);
    }
    app.api.pushes.add(Push {
        key: key.clone(),
        aim: Aim::Direct,
        conversation_id: String::new(),
        to,
        seqs,
        at: cx.now.since_start,
        recalled: false,
        read: BTreeMap::new(),
    });
    Ok(Reply::ok(json!({
        "processQueryKey": key,
        "invalidStaffIdList": unknown,
        "flowControlledStaffIdList": throttled,
    })))
}

fn user_ids<'a>(app: &mut App, body: Fields<'a>) -> Result<Vec<&'a str>, Reply> {
    let list = body.get("userIds").and_then(Value::as_array).filter(|list| !list.is_empty());
    let Some(list) = list else {
        let problem = "userIds is missing, empty or no array";
        let expected = r#"["user0001"]"#;
        return Err(refuse("invalidParameter.userIds.empty", problem, expected, SEE));
    };
    if list.len() > MAX_USERS {
        let problem = format!("{} userIds", list.len());
        let expected = format!("at most {MAX_USERS}");
        let refusal = refuse("invalidParameter.userIds.overMax", problem, expected, SEE);
        if list.len() > MAX_USERS_SAID {
            return Err(refusal);
        }
        app.api.tolerate(refusal)?;
    }
    list.iter()
        .map(|item| item.as_str().filter(|id| !id.is_empty()))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            let problem = "userIds holds something that is no user id";
            refuse("invalidParameter.userId.empty", problem, "strings only", SEE)
        })
}
