//! Which handler a path goes to.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, header},
    middleware,
    response::Response,
    routing::get,
};

use crate::{control, dingtalk, gateway, hub::Hub, page};

/// Everything that the port answers. What is neither the page, the control API nor the gateway
/// is one of DingTalk's APIs, or a 404 in DingTalk's shape.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/", get(page::chat).fallback(dingtalk::call))
        .route("/connect", get(gateway::connect).fallback(dingtalk::call))
        .merge(control::router(Arc::clone(&hub)))
        .fallback(dingtalk::call)
        .layer(middleware::map_response_with_state(Arc::clone(&hub), dated))
        .with_state(hub)
}

/// The `Date` of every answer is told by the mock's clock, so that a wrong clock can be noticed.
async fn dated(State(hub): State<Arc<Hub>>, mut response: Response) -> Response {
    let unix_ms = hub.read_clock(None).map_or(0, |reading| reading.moment.unix_ms);
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    let date = UNIX_EPOCH.checked_add(since.min(YEAR_9999)).map(httpdate::fmt_http_date);
    if let Some(Ok(date)) = date.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// What is later has no place in a `Date`.
const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);
