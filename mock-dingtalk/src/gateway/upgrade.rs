//! The handshake of a WebSocket (RFC 6455, 4.2), by hand: whoever takes the connection over needs
//! its frames as they are on the wire.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What a request gets that asks for no WebSocket: a status, and why.
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, self.why).into_response()
    }
}

/// A request that may become a WebSocket.
pub(crate) struct Upgrade {
    accept: HeaderValue,
    on_upgrade: OnUpgrade,
}

impl Upgrade {
    /// Reads a request, or refuses one that asks for no WebSocket.
    pub(crate) fn of(mut request: Request) -> Result<Self, Refused> {
        let refuse = |status, why| Err(Refused { status, why });
        let headers = request.headers();
        if request.method() != Method::GET {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET");
        }
        if !lists(headers, &header::CONNECTION, "upgrade") {
            return refuse(StatusCode::BAD_REQUEST, "the header Connection does not say Upgrade");
        }
        if !lists(headers, &header::UPGRADE, "websocket") {
            return refuse(StatusCode::BAD_REQUEST, "the header Upgrade does not say websocket");
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return refuse(StatusCode::BAD_REQUEST, "the header Sec-WebSocket-Version is not 13");
        }
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return refuse(StatusCode::BAD_REQUEST, "the header Sec-WebSocket-Key is missing");
        };
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
        match (accept, request.extensions_mut().remove::<OnUpgrade>()) {
            (Ok(accept), Some(on_upgrade)) => Ok(Self { accept, on_upgrade }),
            _ => refuse(StatusCode::UPGRADE_REQUIRED, "this connection cannot become a WebSocket"),
        }
    }

    /// The answer 101, and the connection that follows it.
    pub(crate) fn accept(self) -> (Response, OnUpgrade) {
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        (response, self.on_upgrade)
    }
}

/// Whether a header, read as a list, has this word.
fn lists(headers: &HeaderMap, name: &header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}
