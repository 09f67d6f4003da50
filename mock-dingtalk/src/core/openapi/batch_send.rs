//! `POST /v1.0/robot/oToMessages/batchSend`: messages to people, each in their direct chat.

use serde_json::{Map, Value, json};

use super::answer::Reply;
use crate::core::{
    app::{App, Cx},
    http::HttpCall,
    journal::Diagnosis,
    sent::SentRow,
    token::TokenCheck,
};

const SEE: &str = "openapi.md 4.1 and 4.8 (KB 0714, KB 0699)";
/// The documented number; an error text says 100.
const MAX_USERS: usize = 20;

/// A `msgKey`: its name, the `msgtype` it appears as, the member people read, and the members of
/// `msgParam` that it needs with the error code for a missing one.
struct Template {
    key: &'static str,
    msgtype: &'static str,
    text: &'static str,
    needs: &'static [(&'static str, &'static str)],
}

const INVALID: &str = "invalidParameter.msgParam.invalid";

const TEMPLATES: [Template; 13] = [
    Template {
        key: "sampleText",
        msgtype: "text",
        text: "content",
        needs: &[("content", "miss.param.contentOfText")],
    },
    Template {
        key: "sampleMarkdown",
        msgtype: "markdown",
        text: "text",
        needs: &[("title", "miss.param.markdownTotitle"), ("text", "miss.param.markdownTotext")],
    },
    Template {
        key: "sampleImageMsg",
        msgtype: "image",
        text: "",
        needs: &[("photoURL", "miss.param.photoTophotoUrl")],
    },
    Template {
        key: "sampleLink",
        msgtype: "link",
        text: "text",
        needs: &[
            ("title", "miss.param.titleOfLink"),
            ("text", "miss.param.textOfLink"),
            ("messageUrl", "miss.param.messageUrlOfLink"),
        ],
    },
    Template {
        key: "sampleActionCard",
        msgtype: "actionCard",
        text: "text",
        needs: &[
            ("title", INVALID),
            ("text", INVALID),
            ("singleTitle", INVALID),
            ("singleURL", INVALID),
        ],
    },
    Template { key: "sampleActionCard2", msgtype: "actionCard", text: "text", needs: buttons(2) },
    Template { key: "sampleActionCard3", msgtype: "actionCard", text: "text", needs: buttons(3) },
    Template { key: "sampleActionCard4", msgtype: "actionCard", text: "text", needs: buttons(4) },
    Template { key: "sampleActionCard5", msgtype: "actionCard", text: "text", needs: buttons(5) },
    Template {
        key: "sampleActionCard6",
        msgtype: "actionCard",
        text: "text",
        needs: &[
            ("title", INVALID),
            ("text", INVALID),
            ("buttonTitle1", INVALID),
            ("buttonUrl1", INVALID),
            ("buttonTitle2", INVALID),
            ("buttonUrl2", INVALID),
        ],
    },
    Template {
        key: "sampleAudio",
        msgtype: "audio",
        text: "",
        needs: &[("mediaId", INVALID), ("duration", INVALID)],
    },
    Template {
        key: "sampleFile",
        msgtype: "file",
        text: "fileName",
        needs: &[("mediaId", INVALID), ("fileName", INVALID), ("fileType", INVALID)],
    },
    // `picMediaId` has to be there and may be empty: a plugin in use sends it so.
    Template {
        key: "sampleVideo",
        msgtype: "video",
        text: "",
        needs: &[("videoMediaId", INVALID), ("videoType", INVALID), ("duration", INVALID)],
    },
];

/// The members of the vertical action cards with `count` buttons.
const fn buttons(count: usize) -> &'static [(&'static str, &'static str)] {
    const ALL: [(&str, &str); 12] = [
        ("title", INVALID),
        ("text", INVALID),
        ("actionTitle1", INVALID),
        ("actionURL1", INVALID),
        ("actionTitle2", INVALID),
        ("actionURL2", INVALID),
        ("actionTitle3", INVALID),
        ("actionURL3", INVALID),
        ("actionTitle4", INVALID),
        ("actionURL4", INVALID),
        ("actionTitle5", INVALID),
        ("actionURL5", INVALID),
    ];
    ALL.split_at(2 + 2 * count).0
}

/// Takes a push. Unknown people are listed, the others get it all the same.
pub(super) fn answer(
    cx: &mut Cx<'_>,
    app: Option<&mut App>,
    call: &HttpCall,
    json: Option<&Value>,
) -> Reply {
    let app = match (app, call.token.as_deref()) {
        (_, None) => return unauthenticated("the header x-acs-dingtalk-access-token is missing"),
        (None, Some(_)) => return unauthenticated("the token was not issued by this mock"),
        (Some(app), Some(token)) => match app.token.check(token, cx.now) {
            TokenCheck::Valid => app,
            TokenCheck::Expired => return unauthenticated("the token has expired"),
            TokenCheck::Unknown => return unauthenticated("the app has no such token"),
        },
    };
    let request = match Request::read(json, &app.robot_code) {
        Ok(request) => request,
        Err((code, diagnosis)) => {
            let message = if code == "resource.not.found" { "robot 不存在" } else { code };
            return Reply::error(400, code, message).diagnosed(diagnosis);
        }
    };
    let key = app.mint.process_query_key();
    let mut unknown = Vec::new();
    for user_id in &request.user_ids {
        if app.people.get(user_id).is_none() {
            unknown.push(*user_id);
            continue;
        }
        let Some(chat) = app.conversations.direct(&mut app.mint, user_id, None) else {
            unknown.push(*user_id);
            continue;
        };
        let row = SentRow {
            seq: app.sent.next_number(),
            via: "batchSend",
            to: (*user_id).to_owned(),
            conversation_id: chat.id,
            msgtype: request.template.msgtype.to_owned(),
            text: request.text.clone(),
            media: None,
            raw: json.cloned().unwrap_or_default(),
            in_reply_to: None,
            at: cx.now.unix_ms,
        };
        app.record_sent(cx, row, call.body.len());
    }
    Reply::ok(json!({
        "processQueryKey": key,
        "invalidStaffIdList": unknown,
        "flowControlledStaffIdList": [],
    }))
}

fn unauthenticated(problem: &str) -> Reply {
    Reply::error(400, "InvalidAuthentication", "不合法的access_token").diagnosed(Diagnosis::new(
        problem,
        "a token of POST /v1.0/oauth2/accessToken, less than 7200 s old",
        "openapi.md 0.1 (KB 0013)",
    ))
}

struct Request<'a> {
    user_ids: Vec<&'a str>,
    template: &'static Template,
    text: String,
}

type Refusal = (&'static str, Diagnosis);

impl<'a> Request<'a> {
    fn read(json: Option<&'a Value>, robot_code: &str) -> Result<Self, Refusal> {
        let Some(Value::Object(body)) = json else {
            let problem = "the body is not a JSON object";
            return Err(wrong("invalidParameter.param.invalid", problem, "a JSON object"));
        };
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("robotCode") {
            "" => {
                let problem = "robotCode is missing or empty";
                return Err(wrong("invalidParameter.robotCode.empty", problem, "a string"));
            }
            // Seen when the code is not the app's robot (NousResearch/hermes-agent#30143).
            code if code != robot_code => {
                let problem = "robotCode is not the app's robot";
                return Err(wrong("resource.not.found", problem, robot_code));
            }
            _ => {}
        }
        let user_ids = user_ids(body)?;
        let template = match text("msgKey") {
            "" => {
                let problem = "msgKey is missing or empty";
                return Err(wrong("invalidParameter.msgKey.empty", problem, "sampleText"));
            }
            key => TEMPLATES.iter().find(|template| template.key == key).ok_or_else(|| {
                let known = TEMPLATES.each_ref().map(|template| template.key).join(", ");
                wrong("invalidParameter.msgKey.invalid", &format!("msgKey is {key:?}"), &known)
            })?,
        };
        let text = param(body, template)?;
        Ok(Self { user_ids, template, text })
    }
}

fn user_ids(body: &Map<String, Value>) -> Result<Vec<&str>, Refusal> {
    let list = body.get("userIds").and_then(Value::as_array).filter(|list| !list.is_empty());
    let Some(list) = list else {
        let problem = "userIds is missing, empty or no array";
        return Err(wrong("invalidParameter.userIds.empty", problem, r#"["user0001"]"#));
    };
    if list.len() > MAX_USERS {
        let problem = format!("{} userIds", list.len());
        let expected = format!("at most {MAX_USERS}");
        return Err(wrong("invalidParameter.userIds.overMax", &problem, &expected));
    }
    list.iter()
        .map(|item| item.as_str().filter(|id| !id.is_empty()))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            let problem = "userIds holds something that is no user id";
            wrong("invalidParameter.userId.empty", problem, "strings only")
        })
}

/// Checks `msgParam` against the template and returns what people read.
fn param(body: &Map<String, Value>, template: &Template) -> Result<String, Refusal> {
    let text = match body.get("msgParam") {
        Some(Value::String(text)) => text,
        Some(_) => {
            return Err(wrong(INVALID, "msgParam is no string", "JSON written into a string"));
        }
        None => return Err(wrong(INVALID, "msgParam is missing", "JSON written into a string")),
    };
    let Ok(Value::Object(param)) = serde_json::from_str::<Value>(text) else {
        return Err(wrong(INVALID, "msgParam does not hold a JSON object", r#"{"content":"hi"}"#));
    };
    if let Some((name, _)) = param.iter().find(|(_, value)| !value.is_string()) {
        let problem = format!("msgParam.{name} is no string");
        return Err(wrong(INVALID, &problem, "strings only"));
    }
    let member = |name: &str| param.get(name).and_then(Value::as_str).unwrap_or_default();
    for (name, code) in template.needs {
        if member(name).is_empty() {
            let problem = format!("msgParam.{name} is missing or empty");
            return Err(wrong(code, &problem, &format!("{} needs it", template.key)));
        }
    }
    if template.key == "sampleVideo" && !param.contains_key("picMediaId") {
        return Err(wrong(INVALID, "msgParam.picMediaId is missing", "sampleVideo needs it"));
    }
    Ok(member(template.text).to_owned())
}

fn wrong(code: &'static str, problem: &str, expected: &str) -> Refusal {
    (code, Diagnosis::new(problem, expected, SEE))
}
