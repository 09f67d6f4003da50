//! Control calls that are not done: which field, what it was, what it may be.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::core::VerbError;

/// An error of the control API. The body is `{"error":{"message",…}}`.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: Value,
}

impl Refusal {
    pub(crate) fn not_found(message: &str) -> Self {
        Self::plain(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn wrong_method() -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, "this control call has another method")
    }

    pub(crate) fn forbidden(message: &str) -> Self {
        Self::plain(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, message)
    }

    pub(crate) fn too_large() -> Self {
        Self::plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this call takes")
    }

    pub(crate) fn broken(message: &str) -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    fn plain(status: StatusCode, message: &str) -> Self {
        Self { status, error: json!({ "message": message }) }
    }
}

impl From<VerbError> for Refusal {
    fn from(error: VerbError) -> Self {
        let message = error.to_string();
        match error {
            VerbError::Invalid { field, value, allowed } => Self {
                status: StatusCode::BAD_REQUEST,
                error: json!({
                    "message": message,
                    "field": field,
                    "value": value,
                    "allowed": allowed,
                }),
            },
            VerbError::NotFound { .. } => Self::not_found(&message),
            VerbError::Exists { .. } | VerbError::TooMany { .. } => {
                Self::plain(StatusCode::CONFLICT, &message)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error }))).into_response()
    }
}
