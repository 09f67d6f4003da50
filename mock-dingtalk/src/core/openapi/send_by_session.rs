//! `POST /robot/sendBySession?session=…`: the reply to a message.

use serde_json::{Value, json};

use super::{
    answer::Reply,
    message_body::{self, BodyError, MAX_BODY},
};
use crate::core::{
    app::{App, Cx},
    findings::{NEAR_EXPIRY, Rule},
    http::HttpCall,
    journal::Diagnosis,
    mutation::Mutation,
    sent::SentRow,
};

const SEE: &str = "openapi.md 3 and 8 (KB 0699, KB 0717)";

/// Takes a reply. Always HTTP 200; an access token in the headers is ignored, as DingTalk does.
pub(super) fn answer(
    cx: &mut Cx<'_>,
    app: Option<&mut App>,
    call: &HttpCall,
    json: Option<&Value>,
) -> Reply {
    let gone = |rule, problem: &str| {
        Reply::errcode(300_001, "session 不存在")
            .diagnosed(Diagnosis::new(
                problem,
                "the sessionWebhook of a message of the last 90 minutes",
                SEE,
            ))
            .ruled(rule)
    };
    let id = call.query("session").unwrap_or_default();
    let Some(app) = app else { return gone(Rule::WebhookUnknown, "no app has this session") };
    let endless = app.mutated(Mutation::WebhookEndless);
    let session = match app.sessions.get(&id) {
        None => return gone(Rule::WebhookUnknown, "the app has no such session"),
        Some(session) if session.expires <= cx.now.since_start && !endless => {
            return gone(Rule::WebhookExpired, "the session is older than 90 minutes");
        }
        Some(session) => session.clone(),
    };
    let is_json = call.content_type.as_deref().is_some_and(|value| {
        value.trim_start().to_ascii_lowercase().starts_with("application/json")
    });
    if !is_json {
        return Reply::errcode(43004, "无效的HTTP HEADER Content-Type")
            .diagnosed(Diagnosis::new(
                format!("Content-Type is {:?}", call.content_type.as_deref().unwrap_or("absent")),
                "application/json",
                SEE,
            ))
            .ruled(Rule::HeaderMissing);
    }
    if call.body.len() > MAX_BODY {
        return Reply::errcode(460_101, "message too long, exceed 20000 bytes").diagnosed(
            Diagnosis::new(
                format!("the body has {} bytes", call.body.len()),
                format!("at most {MAX_BODY}"),
                SEE,
            ),
        );
    }
    let bad_json = |problem: String, expected: &str| {
        Reply::errcode(40035, "缺少参数 json").diagnosed(Diagnosis::new(problem, expected, SEE))
    };
    let Some(Value::Object(body)) = json else {
        return bad_json("the body is not a JSON object".to_owned(), "a JSON object");
    };
    let left = session.expires.saturating_sub(cx.now.since_start);
    match message_body::read(body, app.api.undocumented_replies) {
        Ok(None) => {}
        Ok(Some((msgtype, text))) => {
            let row = SentRow {
                seq: app.sent.next_number(),
                via: "sessionWebhook",
                to: session.to,
                conversation_id: session.conversation_id,
                msgtype,
                text,
                media: message_body::media_id(body).and_then(|id| app.media_of_message(id)),
                raw: Value::Object(body.clone()),
                in_reply_to: Some(session.msg_id),
                process_query_key: None,
                recalled: false,
                finished: true,
                at: cx.now.unix_ms,
            };
            app.record_sent(cx, row);
            app.judge_answer(cx, &id, &call.body);
        }
        Err(BodyError::NoType) => {
            return bad_json("msgtype is missing".to_owned(), r#""msgtype":"text""#);
        }
        Err(BodyError::Missing(path)) => {
            return bad_json(format!("{path} is missing or empty"), "a non-empty value");
        }
        Err(BodyError::UnknownType(msgtype)) => {
            return Reply::errcode(400_105, "不支持的消息类型").diagnosed(Diagnosis::new(
                format!("msgtype is {msgtype:?}"),
                "text, markdown, link, actionCard, feedCard, empty, or one that the app's limits allow",
                SEE,
            ));
        }
    }
    let reply = Reply::ok(json!({ "errcode": 0, "errmsg": "ok" }));
    if left > NEAR_EXPIRY {
        return reply;
    }
    let problem = format!("the session ends in {} s", left.as_secs());
    let expected = "another API in the last 5 minutes of a sessionWebhook";
    reply.remarked(Diagnosis::new(problem, expected, SEE).of(Rule::WebhookNearExpiry))
}
