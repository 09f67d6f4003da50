//! Taking messages back: `otoMessages/batchRecall`, `groupMessages/recall`,
//! `privateChatMessages/batchRecall`.

use serde_json::{Map, Value, json};

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    pushes::Aim,
    send_to_chat,
};
use crate::core::{
    app::{App, Cx},
    mutation::Mutation,
};

const SEE: &str = "openapi.md 4.4 (KB 0723, KB 0724, KB 0725)";
const MAX_KEYS: usize = 20;
const UNKNOWN: &str = "invalid.processQueryKey";

/// `POST /v1.0/robot/otoMessages/batchRecall`.
pub(super) fn direct(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    recall(cx, app, ask, Aim::Direct)
}

/// `POST /v1.0/robot/groupMessages/recall`.
pub(super) fn group(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    recall(cx, app, ask, Aim::Group)
}

/// `POST /v1.0/robot/privateChatMessages/batchRecall`.
pub(super) fn private(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    recall(cx, app, ask, Aim::Private)
}

/// Keys that cannot be recalled are listed with a reason; if none can, the first reason is the
/// answer. How DingTalk divides the two is not documented.
fn recall(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>, aim: Aim) -> Result<Reply, Reply> {
    let body = ask.object("invalidParameter.robotCode", SEE)?;
    if body.text("robotCode").is_empty() {
        let problem = "robotCode is missing or empty";
        return Err(refuse("invalidParameter.robotCode", problem, "a string", SEE));
    }
    if body.text("robotCode") != app.robot_code {
        let problem = "robotCode is not the app's robot";
        return Err(refuse("not.allowed.robotCode", problem, app.robot_code.clone(), SEE));
    }
    let chat = match aim {
        Aim::Direct => None,
        Aim::Group | Aim::Private => Some(send_to_chat::chat(app, body, aim, SEE)?),
    };
    let keys = keys(body)?;
    let (mut done, mut failed) = (Vec::new(), Map::new());
    for key in keys {
        match app.recall(cx, key, aim, chat.as_deref()) {
            Ok(()) => done.push(key),
            Err(reason) => {
                failed.insert(key.to_owned(), Value::from(reason));
            }
        }
    }
    if done.is_empty()
        && let Some((key, reason)) = failed.iter().next()
    {
        let reason = reason.as_str().unwrap_or(UNKNOWN);
        let problem = format!("{key:?} cannot be recalled here");
        let expected = "the key of such a message, less than 24 h old and not yet recalled";
        return Err(refuse(reason, problem, expected, SEE));
    }
    Ok(Reply::ok(json!({ "successResult": done, "failedResult": failed })))
}

fn keys(body: Fields<'_>) -> Result<Vec<&str>, Reply> {
    let list = body.get("processQueryKeys").and_then(Value::as_array);
    let keys: Option<Vec<&str>> = list.filter(|list| !list.is_empty()).and_then(|list| {
        list.iter().map(|key| key.as_str().filter(|key| !key.is_empty())).collect()
    });
    match keys {
        None => {
            let problem = "processQueryKeys is missing, empty or holds something else";
            let code = "invalidParameter.processQueryKey.missing";
            Err(refuse(code, problem, "an array of strings", SEE))
        }
        Some(keys) if keys.len() > MAX_KEYS => {
            let problem = format!("{} processQueryKeys", keys.len());
            let expected = format!("at most {MAX_KEYS}");
            Err(refuse("invalidParameter.processQueryKeys.overMax", problem, expected, SEE))
        }
        Some(keys) => Ok(keys),
    }
}

impl App {
    /// Takes one message back, with its rows.
    fn recall(
        &mut self,
        cx: &mut Cx<'_>,
        key: &str,
        aim: Aim,
        chat: Option<&str>,
    ) -> Result<(), &'static str> {
        let endless = self.mutated(Mutation::RecallEndless);
        let push = self.api.pushes.get_mut(key).ok_or(UNKNOWN)?;
        if push.aim != aim || chat.is_some_and(|chat| chat != push.conversation_id) {
            return Err(UNKNOWN);
        }
        if !push.is_open(cx.now) && !endless {
            return Err("robot.processQueryKey.expired");
        }
        push.recalled = true;
        for seq in push.seqs.clone() {
            if let Some(kept) = self.sent.get_mut(seq) {
                kept.row.recalled = true;
            }
        }
        self.changed(cx);
        Ok(())
    }
}
