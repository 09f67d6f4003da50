//! `POST /robot/send?access_token=…[&timestamp=…&sign=…]`: the webhook of a custom robot.

use serde_json::{Value, json};

use super::{
    answer::Reply,
    message_body::{self, BodyError, MAX_BODY},
};
use crate::core::{
    app::{App, Cx},
    custom_robot::{CustomRobot, PER_MINUTE},
    http::HttpCall,
    journal::Diagnosis,
    sent::SentRow,
};

const SEE: &str = "openapi.md 8 (KB 0717)";

/// Takes a message of whoever has the address. Always HTTP 200. The order of the checks is our
/// choice: whose it is, what it is, whether it may, how often.
pub(super) fn answer(
    cx: &mut Cx<'_>,
    app: Option<&mut App>,
    call: &HttpCall,
    json: Option<&Value>,
) -> Reply {
    take(cx, app, call, json).unwrap_or_else(|refusal| refusal)
}

fn take(
    cx: &mut Cx<'_>,
    app: Option<&mut App>,
    call: &HttpCall,
    json: Option<&Value>,
) -> Result<Reply, Reply> {
    let token = call.query("access_token").unwrap_or_default();
    if token.is_empty() {
        // In the words that the old host has for other parameters; several reports quote them.
        let problem = "access_token is missing or empty";
        return Err(refuse(40035, "缺少参数 access_token", problem, "?access_token="));
    }
    let unknown = || {
        // As in a third party's log of probes of 2026-09-11.
        let expected = "the access_token of POST /_mock/apps/{clientId}/custom-robots";
        refuse(300_005, "token is not exist", "no custom robot has this access_token", expected)
    };
    let app = app.ok_or_else(unknown)?;
    let robot = app.api.custom_robots.get_mut(&token).ok_or_else(unknown)?;
    let kind = call.content_type.as_deref().unwrap_or("absent");
    if !kind.trim_start().to_ascii_lowercase().starts_with("application/json") {
        let problem = format!("Content-Type is {kind:?}");
        let errmsg = "无效的HTTP HEADER Content-Type";
        return Err(refuse(43004, errmsg, problem, "application/json"));
    }
    if call.body.len() > MAX_BODY {
        let problem = format!("the body has {} bytes", call.body.len());
        let expected = format!("at most {MAX_BODY}");
        return Err(refuse(460_101, "message too long, exceed 20000 bytes", problem, expected));
    }
    let bad_json = |problem: &str, expected: &str| {
        refuse(40035, "缺少参数 json", problem.to_owned(), expected)
    };
    let Some(Value::Object(body)) = json else {
        return Err(bad_json("the body is not a JSON object", "a JSON object"));
    };
    let read = message_body::read(body, false).map_err(|error| match error {
        BodyError::NoType => bad_json("msgtype is missing", r#""msgtype":"text""#),
        BodyError::Missing(path) => {
            bad_json(&format!("{path} is missing or empty"), "a non-empty value")
        }
        BodyError::UnknownType(msgtype) => {
            let expected = "text, markdown, link, actionCard, feedCard or empty";
            refuse(400_105, "不支持的消息类型", format!("msgtype is {msgtype:?}"), expected)
        }
    })?;
    let msgtype = body.get("msgtype").and_then(Value::as_str).unwrap_or_default();
    guard(robot, call, body.get(msgtype), cx)?;
    if !robot.spend(cx.now.since_start) {
        let problem = format!("more than {PER_MINUTE} messages in one minute");
        let expected = "10 minutes of silence after that";
        return Err(refuse(410_100, "发送速度太快而限流", problem, expected));
    }
    let done = Reply::ok(json!({ "errcode": 0, "errmsg": "ok" }));
    if let Some(uuid) = body.get("msgUuid").and_then(Value::as_str).filter(|uuid| !uuid.is_empty())
        && !robot.is_new(uuid)
    {
        let problem = format!("the msgUuid {uuid:?} was used already: nothing is said");
        return Ok(done.diagnosed(Diagnosis::new(problem, "a new one for each message", SEE)));
    }
    let Some((msgtype, text)) = read else { return Ok(done) };
    let conversation_id = robot.conversation_id.clone();
    let row = SentRow {
        seq: app.sent.next_number(),
        via: "customRobot",
        to: conversation_id.clone(),
        conversation_id,
        msgtype,
        text,
        media: None,
        raw: Value::Object(body.clone()),
        in_reply_to: None,
        process_query_key: None,
        recalled: false,
        finished: true,
        at: cx.now.unix_ms,
    };
    app.record_sent(cx, row);
    Ok(done)
}

/// The robot's guards: signature, words of its `content`, addresses. Each has the same code (KB 0717).
fn guard(
    robot: &CustomRobot,
    call: &HttpCall,
    content: Option<&Value>,
    cx: &Cx<'_>,
) -> Result<(), Reply> {
    let refuse = |errmsg: &str, expected: &str| refuse(310_000, errmsg, errmsg, expected);
    if let Some(secret) = &robot.secret {
        let text = |name| call.query(name).unwrap_or_default();
        CustomRobot::check_signature(secret, &text("timestamp"), &text("sign"), cx.now).map_err(
            |errmsg| {
                let expected = "timestamp in ms, less than an hour off, and sign = urlencode(base64(\
                                HMAC-SHA256(secret, timestamp + LF + secret)))";
                refuse(errmsg, expected)
            },
        )?;
    }
    if !robot.keywords.is_empty() {
        let mut words = String::new();
        collect(content.unwrap_or(&Value::Null), &mut words);
        if !robot.keywords.iter().any(|keyword| words.contains(keyword)) {
            let expected = format!("one of {}", robot.keywords.join(", "));
            return Err(refuse("keywords not in content", &expected));
        }
    }
    if !robot.admits(call.peer) {
        let peer = call.peer.map(|peer| peer.to_canonical().to_string()).unwrap_or_default();
        let errmsg = format!("ip {peer} not in whitelist");
        return Err(refuse(&errmsg, "an address of the ipWhitelist"));
    }
    Ok(())
}

/// All strings of a message, a line each.
fn collect(value: &Value, words: &mut String) {
    match value {
        Value::String(text) => {
            words.push_str(text);
            words.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(members) => members.values().for_each(|member| collect(member, words)),
        _ => {}
    }
}

fn refuse(
    errcode: i64,
    errmsg: &str,
    problem: impl Into<String>,
    expected: impl Into<String>,
) -> Reply {
    Reply::errcode(errcode, errmsg).diagnosed(Diagnosis::new(problem, expected, SEE))
}
