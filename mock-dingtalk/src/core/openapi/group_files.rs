//! Files quoted in groups: the space of a chat, what is in it, and the way to its bytes.
//!
//! The shapes are those that `soimy/openclaw-channel-dingtalk` reads (openapi.md 5.3). No page of
//! these calls names its codes; `paramError` is what the storage API says elsewhere.

use std::time::Duration;

use ring::hmac;
use serde_json::{Map, Value, json};

use super::{
    answer::Reply,
    ask::{Ask, refuse},
    message_files::deadline,
};
use crate::core::{
    app::{App, Cx},
    conversation::ConversationKind,
    group_file::{Dentry, java_date},
    http::HttpCall,
    journal::Diagnosis,
    media::hex,
};

const SEE: &str = "openapi.md 5.3";
const WRONG: &str = "paramError";
/// Entries in one answer.
const PAGE: usize = 50;
/// How long the address is good.
const SECONDS: i64 = 900;

/// `POST /v1.0/convFile/conversations/spaces/query`. The page wants `unionId` in the query; the
/// client that calls it writes it into the body: both are taken.
pub(super) fn space(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object(WRONG, SEE)?;
    let chat = body.required("openConversationId", WRONG, SEE)?;
    let in_query = ask.call.query("unionId");
    check_person(app, &in_query.clone().unwrap_or_else(|| body.text("unionId").to_owned()))?;
    let known = app.conversations.get(chat).map(|chat| chat.kind);
    if known != Some(ConversationKind::Group) {
        let problem = format!("there is no group {chat:?}");
        return Err(refuse(WRONG, problem, "the conversationId of a group", SEE));
    }
    let (id, at) = app.api.group_files.space(chat, cx.now.unix_ms);
    let reply = Reply::ok(json!({ "space": {
        "spaceId": id,
        "corpId": app.corp_id,
        "createTime": java_date(at),
        "modifiedTime": java_date(at),
    } }));
    if in_query.is_some() {
        return Ok(reply);
    }
    let problem = "unionId stands in the body";
    Ok(reply.diagnosed(Diagnosis::new(problem, "?unionId=, says the page", SEE)))
}

/// `POST /v1.0/storage/spaces/{spaceId}/dentries/listAll?unionId=`.
pub(super) fn list(_: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let space = checked_space(app, ask)?;
    let option = option(ask)?;
    let option = |name: &str| option.and_then(|option| option.get(name));
    let most = match option("maxResults") {
        None | Some(Value::Null) => PAGE,
        Some(value) => value
            .as_u64()
            .and_then(|most| usize::try_from(most).ok())
            .filter(|most| (1..=PAGE).contains(most))
            .ok_or_else(|| {
                let problem = format!("option.maxResults is {value}");
                refuse(WRONG, problem, format!("1 to {PAGE}"), SEE)
            })?,
    };
    let start = match option("nextToken").and_then(Value::as_str).unwrap_or_default() {
        "" => 0,
        token => token.parse::<usize>().map_err(|_| {
            let problem = format!("option.nextToken is {token:?}");
            refuse(WRONG, problem, "the nextToken of the answer before", SEE)
        })?,
    };
    let mut rest = app.api.group_files.of_space(space).skip(start);
    let page: Vec<Value> = rest.by_ref().take(most).map(Dentry::shown).collect();
    let mut body = json!({ "dentries": page });
    if rest.next().is_some() {
        body["nextToken"] = start.saturating_add(most).to_string().into();
    }
    Ok(Reply::ok(body))
}

/// `POST /v1.0/storage/spaces/{spaceId}/dentries/{dentryId}/downloadInfos/query?unionId=`.
pub(super) fn download(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let space = checked_space(app, ask)?;
    option(ask)?;
    let id = ask.params.get(1).map(String::as_str).unwrap_or_default();
    let Some(dentry) = app.api.group_files.get(space, id) else {
        let problem = format!("the space has no file {id:?}");
        return Err(refuse(WRONG, problem, "an id of dentries/listAll", SEE));
    };
    let expires = cx.now.unix_ms / 1_000 + SECONDS;
    let code = dentry.code.as_str();
    let lives = Duration::from_secs(SECONDS.unsigned_abs());
    let until = cx.now.since_start.saturating_add(lives).as_millis();
    let url = format!("{}/storage-files/{code}?Expires={expires}", app.urls(&ask.call.base).http());
    Ok(Reply::ok(json!({
        "protocol": "HEADER_SIGNATURE",
        "headerSignatureInfo": {
            "resourceUrls": [url],
            "headers": { "Authorization": authorization(app, code, expires, until) },
            "expirationSeconds": SECONDS,
            "region": "ZHANGJIAKOU",
        },
    })))
}

/// `GET /storage-files/{code}`: what the object storage answers to the address with its headers.
pub(super) fn serve(cx: &Cx<'_>, app: Option<&mut App>, call: &HttpCall, code: &str) -> Reply {
    let denied = |code: &str, message: &str, problem: &str, expected: &str| {
        Reply::storage(403, code, message).diagnosed(Diagnosis::new(problem, expected, SEE))
    };
    let expires: i64 = call.query("Expires").and_then(|at| at.parse().ok()).unwrap_or(0);
    let given = call.authorization.as_deref();
    let signature = given.and_then(|given| given.strip_prefix(AUTHORIZATION)).unwrap_or_default();
    let until = deadline(signature);
    let right = |app: &&mut App| given == Some(&authorization(app, code, expires, until));
    let Some(app) = app.filter(right) else {
        let message = "You have no right to access this object.";
        let problem = match given {
            None => "the request has no Authorization",
            Some(_) => "Authorization is not as downloadInfos/query gave it",
        };
        let expected = "all of headerSignatureInfo.headers, and the address unchanged";
        return denied("AccessDenied", message, problem, expected);
    };
    if cx.now.since_start.as_millis() >= until {
        let problem = "the address is older than 900 s";
        return denied("AccessDenied", "Request has expired.", problem, "a fresh one");
    }
    match app.api.media.get(code) {
        Some(media) => Reply::file(media.content_type(), media.bytes.clone()),
        None => Reply::no_such_key(SEE),
    }
}

/// The space of the path, if the call has it and a person.
fn checked_space<'a>(app: &App, ask: &Ask<'a>) -> Result<&'a str, Reply> {
    check_person(app, &ask.call.query("unionId").unwrap_or_default())?;
    let space = ask.params.first().map(String::as_str).unwrap_or_default();
    if app.api.group_files.has_space(space) {
        return Ok(space);
    }
    let problem = format!("there is no space {space:?}");
    Err(refuse(WRONG, problem, "the spaceId of convFile/conversations/spaces/query", SEE))
}

/// The member `option` of the body. The page has it optional, so that a body may be missing
/// altogether; one that is there has to be a JSON object.
fn option<'a>(ask: &Ask<'a>) -> Result<Option<&'a Map<String, Value>>, Reply> {
    if ask.call.body.is_empty() {
        return Ok(None);
    }
    match ask.object(WRONG, SEE)?.get("option") {
        None => Ok(None),
        Some(Value::Object(option)) => Ok(Some(option)),
        Some(other) => {
            Err(refuse(WRONG, format!("option is {other}"), r#"{"maxResults":50}"#, SEE))
        }
    }
}

fn check_person(app: &App, union_id: &str) -> Result<(), Reply> {
    if app.people.all().any(|person| person.union_id() == union_id) {
        return Ok(());
    }
    let problem = format!("unionId is {union_id:?}");
    Err(refuse(WRONG, problem, "the unionid of a person, of topapi/v2/user/get", SEE))
}

/// As in `message_files`, the end on the steady hand of the clock comes first.
fn authorization(app: &App, code: &str, expires: i64, until: u128) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, app.client_secret.as_bytes());
    let tag = hmac::sign(&key, format!("HEADER\n{expires}\n{until}\n/{code}").as_bytes());
    format!("{AUTHORIZATION}{until:016x}{}", hex(&tag.as_ref()[..16]))
}

/// What `Authorization` begins with.
const AUTHORIZATION: &str = "OSS dingmock:";
