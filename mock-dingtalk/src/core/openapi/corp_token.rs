//! `POST /v1.0/oauth2/{corpId}/token`: the unified way to a token.

use serde_json::{Value, json};

use super::{answer::Reply, credentials};
use crate::core::{
    app::{App, Cx},
    journal::Diagnosis,
    lifetime,
};

const SEE: &str = "openapi.md 1.2 (KB 0037)";

/// The same token as of `accessToken`, under other names.
pub(super) fn answer(
    cx: &mut Cx<'_>,
    app: Option<&mut App>,
    params: &[String],
    json: Option<&Value>,
) -> Reply {
    let Some(Value::Object(body)) = json else {
        let problem = "the body is not a JSON object";
        return Reply::error(400, "Missingbody", "body is mandatory for this action.")
            .diagnosed(Diagnosis::new(problem, r#"{"client_id":"..","client_secret":".."}"#, SEE));
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let refuse = |code: &str, diagnosis| Reply::error(400, code, code).diagnosed(diagnosis);
    if text("grant_type") != "client_credentials" {
        let problem = format!("grant_type is {:?}", text("grant_type"));
        let diagnosis = Diagnosis::new(problem, "client_credentials", SEE);
        return refuse("unsupported.grant.type", diagnosis);
    }
    match credentials::check(app, text("client_id"), text("client_secret"), SEE) {
        Ok(app) if params.first() == Some(&app.corp_id) => {
            let token = app.fetch_token(cx);
            Reply::ok(json!({
                "access_token": token,
                "expires_in": lifetime::ACCESS_TOKEN.as_secs(),
            }))
        }
        // The page has a 401 for an app that may not do this; another corporation's is one.
        Ok(app) => Reply::error(401, "unauthorized.client", "unauthorized.client").diagnosed(
            Diagnosis::new("the path names another corporation", app.corp_id.clone(), SEE),
        ),
        Err(diagnosis) => refuse("invalid.client", diagnosis),
    }
}
