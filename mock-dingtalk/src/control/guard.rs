//! Who may use the control API.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::refusal::Refusal;
use crate::hub::Hub;

/// A browser's event stream cannot send headers, so the token may come as this parameter too.
pub(crate) const TOKEN_PARAMETER: &str = "admin_token";

/// Lets a call through, or refuses it: pages of other origins have no business here, and where a
/// token is set it has to be brought as `Authorization: Bearer TOKEN`.
pub(crate) async fn admit(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    if is_foreign(request.headers()) {
        return Refusal::forbidden("control calls from pages of another origin are refused")
            .into_response();
    }
    if let Some(expected) = &hub.settings.admin_token {
        let query = request.uri().query().unwrap_or_default();
        if !brings(request.headers(), query, expected) {
            return Refusal::unauthorized(
                "this mock wants its admin token: `Authorization: Bearer TOKEN` (it is in the \
                 ready line, or as chosen by --admin-token)",
            )
            .into_response();
        }
    }
    next.run(request).await
}

/// Whether a browser says that another site's page makes this call.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    });
    match (origin, host) {
        (Some(origin), Some(host)) => !origin.eq_ignore_ascii_case(host),
        _ => true,
    }
}

fn brings(headers: &HeaderMap, query: &str, expected: &str) -> bool {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let parameter = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == TOKEN_PARAMETER)
        .map(|(_, token)| token);
    header.is_some_and(|token| same(token, expected))
        || parameter.is_some_and(|token| same(&token, expected))
}

/// Compares without telling by its time how much was right.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes().zip(b.bytes()).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::is_foreign;

    #[test]
    fn only_pages_of_the_same_host_and_programs_are_at_home() {
        let cases = [
            (None, Some("127.0.0.1:1"), false),
            (Some("http://127.0.0.1:1"), Some("127.0.0.1:1"), false),
            (Some("http://127.0.0.1:2"), Some("127.0.0.1:1"), true),
            (Some("https://evil.example"), Some("127.0.0.1:1"), true),
            (Some("null"), Some("127.0.0.1:1"), true),
            (Some("http://127.0.0.1:1"), None, true),
        ];
        for (origin, host, foreign) in cases {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().unwrap());
            }
            if let Some(host) = host {
                headers.insert("host", host.parse().unwrap());
            }
            assert_eq!(is_foreign(&headers), foreign, "{origin:?} {host:?}");
        }
    }
}
