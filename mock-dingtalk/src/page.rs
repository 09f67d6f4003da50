//! The chat page: one file, no build step, no request to anywhere else.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

const CHAT: &str = include_str!("page/chat.html");

/// `GET /`.
pub(crate) async fn chat() -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html;charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, CHAT).into_response()
}
