//! `GET /_mock/journal`.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{fields::Query, refusal::Refusal};
use crate::{
    core::{Selection, VerbError, quoted},
    hub::Hub,
};

/// Entries of one answer.
const MAX_LIMIT: u64 = 10_000;
/// Entries of one export, which is streamed.
const MAX_EXPORT: u64 = 1_000_000;

/// `GET /_mock/journal?app=&after=&limit=`: entries in the order they happened, as an array.
/// With `format=jsonl` an export: one line that says what it is, then a line for each entry, with
/// marks for secrets unless `redact=false`.
pub(crate) async fn list(State(hub): State<Arc<Hub>>, uri: Uri) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let app = query.string("app");
    let after = query.number("after")?.unwrap_or(0);
    let limit = query.number("limit")?;
    let lines = word(&mut query, "format", ["json", "jsonl"])? == Some("jsonl");
    let redacted = match word(&mut query, "redact", ["true", "false"])? {
        Some(_) if !lines => {
            let allowed = "only with format=jsonl";
            return Err(VerbError::invalid("redact", "given", allowed).into());
        }
        redact => redact != Some("false"),
    };
    query.finish()?;
    let (usual, most) = if lines { (MAX_EXPORT, MAX_EXPORT) } else { (1_000, MAX_LIMIT) };
    let limit = usize::try_from(limit.unwrap_or(usual).min(most)).unwrap_or(usize::MAX);
    if lines {
        let selection = Selection { app: app.as_deref(), after, limit };
        let excerpt = hub.look(|fleet| fleet.excerpt(selection, redacted))?;
        // Of a long journal, finding its secrets takes a while.
        let Ok(export) = tokio::task::spawn_blocking(|| excerpt.export()).await else {
            return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        };
        let lines = stream::iter(export.lines().map(Ok::<_, Infallible>));
        let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
        return Ok((kind, Body::from_stream(lines)).into_response());
    }
    let (entries, dropped) = hub.look(|fleet| fleet.journal(app.as_deref(), after, limit))?;
    let entries: Vec<_> = entries.iter().map(|entry| &**entry).collect();
    let mut response = Json(entries).into_response();
    if dropped > 0 {
        let name = HeaderName::from_static("x-mock-dropped");
        response.headers_mut().insert(name, HeaderValue::from(dropped));
    }
    Ok(response)
}

/// A parameter that is one of two words.
fn word(
    query: &mut Query,
    name: &'static str,
    words: [&'static str; 2],
) -> Result<Option<&'static str>, VerbError> {
    let Some(given) = query.string(name) else { return Ok(None) };
    let known = words.into_iter().find(|word| *word == given);
    let allowed = || VerbError::invalid(name, quoted(&given), words.join(" or "));
    known.map(Some).ok_or_else(allowed)
}
