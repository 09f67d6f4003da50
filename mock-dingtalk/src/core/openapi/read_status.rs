//! Who read a message: `oToMessages/readStatus`, `groupMessages/query`,
//! `privateChatMessages/query`.

use serde_json::{Value, json};

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    msg_key,
    pushes::{Aim, Push},
    send_to_chat,
};
use crate::core::app::{App, Cx};

const SEE: &str = "openapi.md 4.5 (KB 0720, KB 0721, KB 0722)";
/// People on a page (KB 0722).
const MAX_PAGE: u64 = 200;

/// `GET /v1.0/robot/oToMessages/readStatus?robotCode=&processQueryKey=`.
pub(super) fn direct(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let query = |name| ask.call.query(name).unwrap_or_default();
    msg_key::check_robot_code(app, &query("robotCode"), SEE)?;
    let push = find(cx, app, &query("processQueryKey"), Aim::Direct, None)?;
    let (to, read, status) = (push.to.clone(), push.read.clone(), send_status(push));
    let people: Vec<Value> = to
        .iter()
        .map(|user_id| {
            let name = app.people.get(user_id).map_or(user_id.as_str(), |person| &person.nick);
            let status = if read.contains_key(user_id) { "READ" } else { "UNREAD" };
            // The page says of the time that it is not supported yet.
            json!({ "name": name, "userId": user_id, "readStatus": status, "readTimestamp": 0 })
        })
        .collect();
    Ok(Reply::ok(json!({ "sendStatus": status, "messageReadInfoList": people })))
}

/// `POST /v1.0/robot/groupMessages/query`.
pub(super) fn group(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    query(cx, app, ask, Aim::Group)
}

/// `POST /v1.0/robot/privateChatMessages/query`.
pub(super) fn private(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    query(cx, app, ask, Aim::Private)
}

fn query(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>, aim: Aim) -> Result<Reply, Reply> {
    let body = ask.object("invalidParameter.robotCode.empty", SEE)?;
    msg_key::check_robot(app, body, SEE)?;
    let chat = send_to_chat::chat(app, body, aim, SEE)?;
    let size = page_size(body)?;
    let skip = page_start(body)?;
    let push = find(cx, app, body.text("processQueryKey"), aim, Some(&chat))?;
    let readers: Vec<&String> = push.read.keys().skip(skip).take(size).collect();
    let next = skip.saturating_add(readers.len());
    let more = next < push.read.len();
    Ok(Reply::ok(json!({
        "sendStatus": send_status(push),
        "readUserIds": readers,
        "nextToken": if more { next.to_string() } else { String::new() },
        "hasMore": more,
    })))
}

fn page_size(body: Fields<'_>) -> Result<usize, Reply> {
    let size = match body.get("maxResults") {
        None => Some(MAX_PAGE),
        Some(size) => size.as_u64().filter(|size| (1..=MAX_PAGE).contains(size)),
    };
    size.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| {
        let problem = "maxResults is out of range";
        refuse("invalidParameter.pageSize.invalid", problem, "1 to 200", SEE)
    })
}

fn page_start(body: Fields<'_>) -> Result<usize, Reply> {
    match body.text("nextToken") {
        "" => Ok(0),
        token => token.parse().map_err(|_| {
            let problem = format!("nextToken is {token:?}");
            let expected = "the nextToken of the page before, or an empty string";
            refuse("invalidParameter.param.invalid", problem, expected, SEE)
        }),
    }
}

fn find<'a>(
    cx: &Cx<'_>,
    app: &'a mut App,
    key: &str,
    aim: Aim,
    chat: Option<&str>,
) -> Result<&'a Push, Reply> {
    if key.is_empty() {
        let problem = "processQueryKey is missing or empty";
        let code = "invalidParameter.processQueryKey.missing";
        return Err(refuse(code, problem, "a string", SEE));
    }
    let push = app
        .api
        .pushes
        .get_mut(key)
        .filter(|push| push.aim == aim && chat.is_none_or(|chat| chat == push.conversation_id));
    match push {
        Some(push) if push.is_open(cx.now) => Ok(push),
        Some(_) => {
            let problem = "the message is older than 24 h";
            Err(refuse("processQueryKey.expireTime", problem, "a younger one", SEE))
        }
        None => {
            let problem = format!("no such message has the key {key:?}");
            let expected = "the processQueryKey of a message of this kind";
            Err(refuse("invalid.processQueryKey", problem, expected, SEE))
        }
    }
}

fn send_status(push: &Push) -> &'static str {
    if push.recalled { "RECALLED" } else { "SUCCESS" }
}
