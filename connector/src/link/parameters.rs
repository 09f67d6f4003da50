//! What stands in the path and the query of a request. What cannot be read is refused in the link's own words.

use axum::extract::{self, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::server::Refusal;

/// Parts of the path.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

/// The query.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read = extract::Path::<T>::from_request_parts(parts, state).await;
        let extract::Path(value) = read.map_err(|e| refusal("path", &e.body_text()))?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read = extract::Query::<T>::from_request_parts(parts, state).await;
        let extract::Query(value) = read.map_err(|e| refusal("query", &e.body_text()))?;
        Ok(Self(value))
    }
}

fn refusal(part: &str, problem: &str) -> Refusal {
    let allowed = "give numbers where ids and limits stand, percent-encoded as UTF-8";
    Refusal(StatusCode::BAD_REQUEST, format!("the {part} cannot be read: {problem}; {allowed}"))
}
