//! `GET /_mock/journal`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, Uri},
    response::{IntoResponse, Response},
};

use super::{fields::Query, refusal::Refusal};
use crate::hub::Hub;

/// Entries of one answer.
const MAX_LIMIT: u64 = 10_000;

/// `GET /_mock/journal?app=&after=&limit=`: entries in the order they happened.
pub(crate) async fn list(State(hub): State<Arc<Hub>>, uri: Uri) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let app = query.string("app");
    let after = query.number("after")?.unwrap_or(0);
    let limit = query.number("limit")?.unwrap_or(1_000).min(MAX_LIMIT);
    query.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (entries, dropped) = hub.look(|fleet| fleet.journal(app.as_deref(), after, limit))?;
    let entries: Vec<_> = entries.iter().map(|entry| &**entry).collect();
    let mut response = Json(entries).into_response();
    if dropped > 0 {
        let name = HeaderName::from_static("x-mock-dropped");
        response.headers_mut().insert(name, HeaderValue::from(dropped));
    }
    Ok(response)
}
