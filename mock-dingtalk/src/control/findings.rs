//! The bot lint: what bots do that will not do with DingTalk.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::Uri,
    response::Response,
};
use serde_json::{Value, json};

use super::{
    fields::Query,
    refusal::Refusal,
    rows::{Wait, respond},
};
use crate::{
    core::{RULES, Severity, VerbError, quoted},
    hub::Hub,
};

/// `GET /_mock/apps/{clientId}/findings?after=SEQ&severity=SEVERITY&count=N&wait_ms=MS`: what was
/// found since `after`, of at least this severity. The wait is for `count` findings; one for an
/// answer that is missing does not end it, since that is judged when the call comes.
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let (after, least) = selection(&mut query)?;
    let wait = Wait::read(&mut query)?;
    query.finish()?;
    hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, cx| Ok(app.findings_now(cx, after, least)))
    })?;
    let rows =
        wait.until(&hub, &client_id, |app| app.findings.rows(after, least), Vec::len).await?;
    let dropped = hub.look(|fleet| fleet.app(&client_id).map(|app| app.findings.dropped()))?;
    Ok(respond(&rows, dropped))
}

/// `DELETE /_mock/apps/{clientId}/findings`: forgets them, and says how many there were.
pub(crate) async fn clear(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let removed =
        hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| Ok(app.clear_findings(cx))))?;
    Ok(Json(json!({ "removed": removed })))
}

/// `GET /_mock/findings?after=SEQ&severity=SEVERITY`: what belongs to no app.
pub(crate) async fn list_of_nobody(
    State(hub): State<Arc<Hub>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let (after, least) = selection(&mut query)?;
    query.finish()?;
    let (rows, dropped) =
        hub.look(|fleet| (fleet.findings.rows(after, least), fleet.findings.dropped()));
    Ok(respond(&rows, dropped))
}

/// `DELETE /_mock/findings`.
pub(crate) async fn clear_of_nobody(State(hub): State<Arc<Hub>>) -> Json<Value> {
    let removed = hub.step(|fleet, _| fleet.findings.clear());
    Json(json!({ "removed": removed }))
}

fn selection(query: &mut Query) -> Result<(u64, Severity), VerbError> {
    let after = query.number("after")?.unwrap_or(0);
    let Some(word) = query.string("severity") else { return Ok((after, Severity::Remark)) };
    let known = Severity::NAMES.iter().find(|(name, _)| *name == word);
    known.map(|(_, least)| (after, *least)).ok_or_else(|| {
        VerbError::invalid("severity", quoted(&word), "one of remark, warning, error")
    })
}

/// `GET /_mock/findings/rules`: what is looked for.
pub(crate) async fn rules() -> Json<Value> {
    Json(json!(RULES))
}
