//! The HTTP side: hands calls to the core and writes its answers.

mod large_body;
mod slow_body;

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::{
    core::{BaseUrl, HttpAnswer, HttpCall, Plan, Routed},
    hub::Hub,
    server::Arrival,
};

/// A larger body is refused before it is looked at.
const MAX_BODY: usize = 4 << 20;
/// An upload may be too large for DingTalk, and still has to be told so in its words.
const MAX_UPLOAD: usize = 24 << 20;
/// So much of a larger body is read and thrown away: a client that is still writing when the
/// connection ends would never see the answer.
const MAX_DISCARDED: usize = 64 << 20;

/// Takes every call that is neither the control API nor the upgrade.
pub(crate) async fn call(
    State(hub): State<Arc<Hub>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let most = if parts.uri.path() == "/media/upload" { MAX_UPLOAD } else { MAX_BODY };
    let Ok(body) = read(body, most).await else {
        // It broke off, so that nobody is there to be answered.
        return StatusCode::BAD_REQUEST.into_response();
    };
    let over = body.is_none();
    let text = |name: &HeaderName| text(&parts.headers, name).map(str::to_owned);
    let call = HttpCall {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        content_type: text(&header::CONTENT_TYPE),
        token: text(&TOKEN),
        host: text(&header::HOST),
        accept: text(&header::ACCEPT),
        authorization: text(&header::AUTHORIZATION),
        peer: Some(arrival.peer.ip()),
        base: base_url(&hub, &arrival, &parts.headers),
        body: body.unwrap_or_default(),
    };
    let routed = if over { Routed::too_large(&call, most) } else { Routed::new(&call) };
    let answer = hub.step(|fleet, now| fleet.http(now, &call, &routed));
    respond(&hub, &arrival, answer).await
}

/// Reads a body, or nothing if it has more than `most` bytes.
async fn read(body: Body, most: usize) -> Result<Option<Bytes>, axum::Error> {
    let (mut kept, mut length) = (BytesMut::new(), 0_usize);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        length = length.saturating_add(piece.len());
        if length <= most {
            kept.extend_from_slice(&piece);
        } else {
            kept = BytesMut::new();
            if length > MAX_DISCARDED {
                break;
            }
        }
    }
    Ok((length <= most).then(|| kept.freeze()))
}

/// Writes an answer the way its plan says.
pub(crate) async fn respond(hub: &Arc<Hub>, arrival: &Arrival, answer: HttpAnswer) -> Response {
    match answer.plan {
        Plan::Now | Plan::SlowBody(_) | Plan::HeadOnly | Plan::HalfBody | Plan::Large { .. } => {}
        Plan::Dribble { bytes, every } => arrival.wire.dribble(hub, answer.owner, bytes, every),
        Plan::At(at) => hub.sleep_until(answer.owner, at).await,
        Plan::Never => std::future::pending().await,
        Plan::Cut(how) => {
            arrival.wire.cut(&how);
            return std::future::pending().await;
        }
    }
    let body = answer.file.unwrap_or_else(|| answer.body.as_bytes().to_vec().into());
    let mut length = Some(body.len() as u64);
    let body = match answer.plan {
        Plan::SlowBody(over) => slow_body::in_pieces(Arc::clone(hub), answer.owner, body, over),
        Plan::HeadOnly => slow_body::never(),
        Plan::HalfBody => slow_body::half(body, arrival.wire.clone()),
        Plan::Large { bytes, announced } => {
            length = announced.then_some(bytes.max(body.len() as u64));
            large_body::padded(body, bytes)
        }
        _ => Body::from(body),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(to) = answer.location.and_then(|to| HeaderValue::try_from(to).ok()) {
        headers.insert(header::LOCATION, to);
    }
    if let Plan::Dribble { .. } = answer.plan {
        // The connection is slow to its end, so no other call may come on it.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(header::SERVER, HeaderValue::from_static("DingTalk/1.0.0"));
    if let Ok(id) = HeaderValue::from_str(&answer.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Ok(id) = HeaderValue::from_str(&answer.request_id.replace('-', "").to_ascii_lowercase())
    {
        headers.insert(TRACE_ID, id);
    }
    if let Some(diagnosis) = answer.diagnosis
        && let Ok(line) = HeaderValue::from_str(&diagnosis.header())
    {
        headers.insert(DIAGNOSIS, line);
    }
    response
}

/// The address that this client knows the mock by.
fn base_url(hub: &Hub, arrival: &Arrival, headers: &HeaderMap) -> BaseUrl {
    let host = text(headers, &header::HOST);
    BaseUrl::choose(host, hub.settings.public_url.as_deref(), &arrival.local.to_string())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

static TOKEN: HeaderName = HeaderName::from_static("x-acs-dingtalk-access-token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-acs-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-acs-trace-id");
/// What was wrong with a request, for the people who wrote the bot.
pub(crate) const DIAGNOSIS: HeaderName = HeaderName::from_static("x-mock-diagnosis");
