//! The chat page: one file, no build step, no request to anywhere else.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};

use crate::{core::is_dingtalk, dingtalk, hub::Hub, server::Arrival};

const CHAT: &str = include_str!("page/chat.html");

/// `GET /`. By one of DingTalk's names there is nothing at this path, as at home.
pub(crate) async fn chat(
    state: State<Arc<Hub>>,
    arrival: Extension<Arrival>,
    request: Request,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_dingtalk) {
        return dingtalk::call(state, arrival, request).await;
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  connect-src 'self'; img-src data: blob:; base-uri 'none'; form-action 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html;charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, CHAT).into_response()
}
