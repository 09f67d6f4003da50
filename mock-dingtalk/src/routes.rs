//! Which handler a path goes to.

use std::sync::Arc;

use axum::{Router, routing::get};

use crate::{control, dingtalk, gateway, hub::Hub, page};

/// Everything that the port answers. What is neither the page, the control API nor the gateway
/// is one of DingTalk's APIs, or a 404 in DingTalk's shape.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/", get(page::chat).fallback(dingtalk::call))
        .route("/connect", get(gateway::connect).fallback(dingtalk::call))
        .merge(control::router(Arc::clone(&hub)))
        .fallback(dingtalk::call)
        .with_state(hub)
}
