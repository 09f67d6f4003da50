//! What an operator does with kept messages.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;

use super::fields::Fields;
use super::parameters::Path;
use super::server::{Answer, Refusal, Robots, answer};
use crate::store::inbox::{Change, ChangeError, ENDED, RETRIED};
use crate::store::{InboxId, StoreError};

impl From<StoreError> for Refusal {
    fn from(e: StoreError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, e.to_string())
    }
}

impl From<ChangeError> for Refusal {
    fn from(e: ChangeError) -> Self {
        let status = match e {
            ChangeError::Unknown(_) => StatusCode::NOT_FOUND,
            ChangeError::Unfit { .. } => StatusCode::CONFLICT,
        };
        Self(status, e.to_string())
    }
}

pub(super) async fn retry(State(robots): Robots, Path(id): Path<i64>) -> Answer {
    let id = InboxId::of(id);
    let mut outcome = Change::Unknown;
    for robot in robots.all() {
        // What one robot does not know may be another's.
        if outcome == Change::Unknown {
            outcome = robot.inbox.retry(id).await?;
        }
    }
    outcome.made(id, RETRIED)?;
    Ok(answer(StatusCode::OK, &json!({ "v": 1, "id": id.number(), "status": "again" })))
}

/// `{"note"?}`.
pub(super) async fn end(State(robots): Robots, Path(id): Path<i64>, body: Bytes) -> Answer {
    let id = InboxId::of(id);
    let mut fields = Fields::body(if body.is_empty() { b"{}" } else { &body })?;
    let note = fields.text("note")?.unwrap_or_else(|| NO_NOTE.to_owned());
    fields.end()?;
    let mut outcome = Change::Unknown;
    for robot in robots.all() {
        if outcome == Change::Unknown {
            outcome = robot.inbox.end(id, note.clone()).await?;
        }
    }
    outcome.made(id, ENDED)?;
    Ok(answer(StatusCode::OK, &json!({ "v": 1, "id": id.number(), "status": "dropped" })))
}

/// The reason of an end that nobody gave one for.
pub const NO_NOTE: &str = "ended by the operator";
