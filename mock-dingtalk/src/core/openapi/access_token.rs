//! `POST /v1.0/oauth2/accessToken` and `GET /gettoken`.

use serde_json::{Value, json};

use super::{answer::Reply, credentials};
use crate::core::{
    app::{App, Cx},
    http::HttpCall,
    journal::Diagnosis,
    lifetime,
};

const SEE: &str = "openapi.md 1.1 (KB 0033)";
const SEE_OLD: &str = "openapi.md 1.3 (KB 1444)";

/// The new host's token. The body must be JSON; a form gets `Missingbody`
/// (aliyun/alibabacloud-php-sdk#36).
pub(super) fn answer(cx: &mut Cx<'_>, app: Option<&mut App>, json: Option<&Value>) -> Reply {
    let Some(Value::Object(body)) = json else {
        return Reply::error(400, "Missingbody", "body is mandatory for this action.").diagnosed(
            Diagnosis::new(
                "the body is not a JSON object",
                r#"{"appKey":"..","appSecret":".."}"#,
                SEE,
            ),
        );
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    match credentials::check(app, text("appKey"), text("appSecret"), SEE) {
        Ok(app) => {
            let token = app.fetch_token(cx);
            Reply::ok(json!({ "accessToken": token, "expireIn": lifetime::ACCESS_TOKEN.as_secs() }))
        }
        Err(diagnosis) => {
            Reply::error(400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
                .diagnosed(diagnosis)
        }
    }
}

/// The old host's way to the same token. Both errors are as in a third
/// party's log of probes of 2026-09-11.
pub(super) fn answer_old(cx: &mut Cx<'_>, app: Option<&mut App>, call: &HttpCall) -> Reply {
    let text = |name| call.query(name).unwrap_or_default();
    if text("appkey").is_empty() {
        let diagnosis =
            Diagnosis::new("appkey is missing or empty", "?appkey=&appsecret=", SEE_OLD);
        return Reply::errcode(40035, "缺少参数 corpid or appkey").diagnosed(diagnosis);
    }
    match credentials::check(app, &text("appkey"), &text("appsecret"), SEE_OLD) {
        Ok(app) => {
            let token = app.fetch_token(cx);
            Reply::ok(json!({
                "errcode": 0,
                "errmsg": "ok",
                "access_token": token,
                "expires_in": lifetime::ACCESS_TOKEN.as_secs(),
            }))
        }
        Err(diagnosis) => Reply::errcode(40096, "不合法的appKey或appSecret").diagnosed(diagnosis),
    }
}
