//! Answers that need no app: whether the mock is up, what it can do, what it could not answer.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::description;
use crate::{core::Fleet, coverage, hub::Hub};

/// `GET /_mock/ready` and `GET /_mock/live`: whoever can ask gets the answer.
pub(super) async fn up() -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// `GET /_mock/openapi.json`.
pub(super) async fn openapi() -> Json<Value> {
    Json(description::document())
}

/// `GET /_mock/coverage`.
pub(super) async fn coverage() -> Json<Value> {
    Json(coverage::ledger())
}

/// `GET /_mock/unmatched`: calls of bots for which there is no answer, as `METHOD PATH`.
pub(super) async fn unmatched(State(hub): State<Arc<Hub>>) -> Json<Value> {
    Json(json!(hub.look(Fleet::unmatched)))
}
