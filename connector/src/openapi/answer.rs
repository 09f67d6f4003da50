//! Reading an answer: size limit, JSON or not, `errcode` inside HTTP 200.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use super::error::{OpenApiError, REQUIRED_SCOPES};

/// No answer we ask for comes near this size, in bytes.
const MAX_BODY: usize = 1 << 20;

/// How much of a body that is not JSON is quoted, in characters.
const QUOTED: usize = 80;
/// Longer words, in bytes, are not quoted.
const WORD: usize = 20;

/// Reads a whole answer, and takes failures of both hosts' conventions for failures.
pub(super) async fn read(
    call: &'static str,
    host: &str,
    mut response: Response,
) -> Result<Value, OpenApiError> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|e| OpenApiError::transport(call, host, e))?
    {
        if body.len() + chunk.len() > MAX_BODY {
            let problem = format!("the body exceeds {MAX_BODY} bytes");
            return Err(OpenApiError::Incomprehensible {
                call,
                host: host.into(),
                status,
                problem,
            });
        }
        body.extend_from_slice(&chunk);
    }
    judge(call, host, status, retry_after, &body)
}

/// Tells success from failure.
fn judge(
    call: &'static str,
    host: &str,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Result<Value, OpenApiError> {
    let host = host.to_owned();
    let json = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    if let Some(json) = json.as_ref().filter(|json| is_blocked(json)) {
        let wait = json["wait"].as_u64().map(Duration::from_secs);
        return Err(OpenApiError::Blocked { call, host, wait });
    }
    let text =
        |key: &str| json.as_ref().and_then(|j| j[key].as_str()).map(excerpt).unwrap_or_default();
    if !(200..300).contains(&status) {
        let mut message = if json.is_some() { text("message") } else { describe(body) };
        let scopes = json.as_ref().map(required_scopes).unwrap_or_default();
        if !scopes.is_empty() {
            message.push_str(REQUIRED_SCOPES);
            message.push_str(&scopes);
        }
        let code = text("code");
        return Err(OpenApiError::Status { call, host, status, code, message, retry_after });
    }
    let Some(json) = json else {
        let problem = describe(body);
        return Err(OpenApiError::Incomprehensible { call, host, status, problem });
    };
    match errcode(&json) {
        None | Some(0) => Ok(json),
        Some(errcode) => {
            let errmsg = json["errmsg"].as_str().map(excerpt).unwrap_or_default();
            Err(OpenApiError::ErrCode { call, host, errcode, errmsg })
        }
    }
}

/// Whether an answer is none, since the caller's address is blocked.
fn is_blocked(json: &Value) -> bool {
    json["punish"].is_string() || json["status"].as_i64() == Some(1_111)
}

/// `accessdenieddetail.requiredScopes`, of an answer to an app that lacks permissions.
fn required_scopes(json: &Value) -> String {
    let list = json["accessdenieddetail"]["requiredScopes"].as_array();
    let scopes = list.into_iter().flatten().filter_map(Value::as_str);
    excerpt(&scopes.collect::<Vec<_>>().join(", "))
}

/// The beginning of a message that the server chose, on one line.
fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 300;
    text.chars().take(CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `errcode`, a number, which documentation samples print as a string now and then.
pub(super) fn errcode(json: &Value) -> Option<i64> {
    let errcode = json.get("errcode")?;
    errcode.as_i64().or_else(|| errcode.as_str()?.parse().ok())
}

/// What a body that is not JSON looks like. HTML almost always comes from something in between. What was
/// to be JSON may hold a token, and so may any word that is long.
fn describe(body: &[u8]) -> String {
    if body.is_empty() {
        return "the body is empty".to_owned();
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * QUOTED)]);
    let start = text.trim_start();
    let quoted: String = start.chars().take(QUOTED).collect();
    if start.starts_with('<') {
        format!(
            "the body is HTML ({quoted:?}), so a proxy or load balancer answered; check \
             HTTPS_PROXY, NO_PROXY and the endpoint"
        )
    } else if start.starts_with(['{', '[', '"']) {
        format!("the body is no JSON object ({} bytes of broken or other JSON)", body.len())
    } else {
        let masked = quoted.split(' ').map(|word| if word.len() > WORD { "***" } else { word });
        let masked = masked.collect::<Vec<_>>().join(" ");
        format!("the body is no JSON object ({masked:?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> String {
        match judge("GET /x", "h", status, None, body.as_bytes()) {
            Ok(value) => format!("ok {value}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn both_hosts_failures_are_failures() {
        for (status, body, expected) in [
            (200, r#"{"errcode":0,"errmsg":"ok"}"#, r#"ok {"errcode":0,"errmsg":"ok"}"#),
            (200, r#"{"errcode":"0"}"#, r#"ok {"errcode":"0"}"#),
            (200, r#"{"a":1}"#, r#"ok {"a":1}"#),
            (
                200,
                r#"{"errcode":300001,"errmsg":"session 不存在"}"#,
                "GET /x: h answered errcode 300001: session 不存在",
            ),
            (
                400,
                r#"{"code":"InvalidAuthentication","message":"不合法的access_token"}"#,
                "GET /x: h answered HTTP 400 InvalidAuthentication: 不合法的access_token",
            ),
            (503, "", "GET /x: h answered HTTP 503 : the body is empty"),
            (
                200,
                "[]",
                "GET /x: h answered HTTP 200, but the body is no JSON object (2 bytes of broken or other JSON)",
            ),
            (
                503,
                "no healthy upstream",
                r#"GET /x: h answered HTTP 503 : the body is no JSON object ("no healthy upstream")"#,
            ),
        ] {
            assert_eq!(judged(status, body), expected);
        }
    }

    #[test]
    fn missing_permissions_are_named() {
        let body = r#"{"code":"Forbidden.AccessDenied.AccessTokenPermissionDenied","message":"no",
            "accessdenieddetail":{"requiredScopes":["Card.Instance.Write","Card.Streaming.Write"]}}"#;
        let error = judge("c", "h", 403, None, body.as_bytes()).unwrap_err();
        assert_eq!(error.required_scopes(), ["Card.Instance.Write", "Card.Streaming.Write"]);
        assert!(
            error
                .to_string()
                .ends_with("no; missing permissions: Card.Instance.Write, Card.Streaming.Write")
        );
        let plain = judge("c", "h", 403, None, b"{}").unwrap_err();
        assert_eq!(plain.required_scopes(), Vec::<String>::new());
    }

    #[test]
    fn no_token_is_quoted() {
        const TOKEN: &str = "5f1c2a98b7e64d3ca0f1e2d3c4b5a697";
        for body in [
            format!(r#"{{"accessToken":"{TOKEN}""#),
            format!(r#"  {{ "expireIn": 7200, "accessToken": "{}"#, &TOKEN[..12]),
            format!(r#"["{TOKEN}"]"#),
            format!("\"{TOKEN}\""),
            TOKEN.to_owned(),
            format!("ticket={TOKEN}"),
            format!("the ticket is {TOKEN} and"),
        ] {
            for status in [200, 400] {
                let error = judged(status, &body);
                assert!(!error.contains(&TOKEN[..8]), "{body}: {error}");
            }
        }
    }

    #[test]
    fn a_blocked_address_is_told_with_its_pause() {
        let body = r#"{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"u"}"#;
        for status in [200, 403] {
            let error = judge("GET /x", "h", status, None, body.as_bytes()).unwrap_err();
            assert!(matches!(error, OpenApiError::Blocked { .. }), "{error}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
            assert!(error.is_too_fast() && error.is_retryable() && !error.is_ambiguous());
        }
    }

    #[test]
    fn html_points_at_the_proxy() {
        let message = judged(400, "<html><title>400</title></html>");
        assert!(message.contains("HTML") && message.contains("HTTPS_PROXY"), "{message}");
    }

    #[test]
    fn what_may_help_is_told_apart() {
        let error =
            |status, body: &str| judge("c", "h", status, None, body.as_bytes()).unwrap_err();
        assert!(error(400, r#"{"code":"InvalidAuthentication"}"#).is_bad_token());
        assert!(error(401, "{}").is_bad_token());
        assert!(error(200, r#"{"errcode":42001}"#).is_bad_token());
        assert!(error(200, r#"{"errcode":300001}"#).is_session_gone());
        assert!(error(503, "").is_retryable() && error(503, "").is_ambiguous());
        let qps = r#"{"code":"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"}"#;
        assert!(error(403, qps).is_retryable() && !error(403, qps).is_ambiguous());
        assert!(!error(403, r#"{"code":"Forbidden.AccessDenied"}"#).is_retryable());
        assert!(!error(200, r#"{"errcode":400105}"#).is_retryable());
    }
}
