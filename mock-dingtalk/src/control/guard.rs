//! Who may use the control API.

use std::{net::Ipv4Addr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use url::Url;

use super::refusal::Refusal;
use crate::{core::is_dingtalk, hub::Hub};

/// A browser's event stream cannot send headers, so the token may come as this parameter too.
pub(crate) const TOKEN_PARAMETER: &str = "admin_token";

/// Lets a call through, or refuses it: pages of other origins have no business here, and where a
/// token is set it has to be brought as `Authorization: Bearer TOKEN`.
pub(crate) async fn admit(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    if is_foreign(request.headers()) {
        return Refusal::forbidden("control calls from pages of another origin are refused")
            .into_response();
    }
    let expected = hub.settings.admin_token.as_ref();
    if expected.is_none() && !is_at_home(request.headers(), hub.settings.public_url.as_deref()) {
        return Refusal::forbidden(
            "without an admin token, control calls are taken by an IP address, localhost, a name \
             without a dot, the host of --public-url or one of DingTalk's names: another name may be \
             a web page's that leads here; call it by one of these, or start the mock with \
             --admin-token",
        )
        .into_response();
    }
    if let Some(expected) = expected {
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

/// Whether a `Host` is one that no web page can have as its own by letting its name lead here.
/// Browsers always send one.
fn is_at_home(headers: &HeaderMap, public: Option<&str>) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let host = authority.host().to_ascii_lowercase();
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    // In the networks of containers, names have no dot; public ones have.
    let is_local = !host.contains('.') || host.ends_with(".localhost") || host == DOCKER;
    let public = public.and_then(|url| Url::parse(url).ok());
    let is_public = public.as_ref().and_then(Url::host_str).is_some_and(|public| host == public);
    is_address || is_local || is_dingtalk(&host) || is_public
}

/// This machine, seen from a container.
const DOCKER: &str = "host.docker.internal";

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

    use super::{is_at_home, is_foreign};

    #[test]
    fn a_name_that_anybody_can_have_is_not_at_home() {
        let public = Some("https://Mock.example:8443");
        for (host, at_home) in [
            (None, true),
            (Some("127.0.0.1:8700"), true),
            (Some("[::1]:8700"), true),
            (Some("10.0.0.7"), true),
            (Some("localhost:1"), true),
            (Some("LOCALHOST"), true),
            (Some("a.localhost:1"), true),
            (Some("mock:8700"), true),
            (Some("host.docker.internal:8700"), true),
            (Some("api.dingtalk.com"), true),
            (Some("mock.example:9"), true),
            (Some("evil.example"), false),
            (Some("evil.example:8700"), false),
            (Some("127.0.0.1.evil.example"), false),
            (Some("127.0.0.1.nip.io:8700"), false),
            (Some("evil.mock.example"), false),
            (Some("api.dingtalk.com.evil.example"), false),
            (Some("localhost.evil.example"), false),
            (Some("evil.example."), false),
            (Some("a b"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert("host", host.parse().unwrap());
            }
            assert_eq!(is_at_home(&headers, public), at_home, "{host:?}");
        }
    }

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
