//! `/_mock/snapshots`: the state of all apps, kept and brought back.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};

use super::{fields::Fields, refusal::Refusal};
use crate::{core::SnapshotRow, hub::Hub};

/// `GET /_mock/snapshots`, oldest first.
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Json<Vec<SnapshotRow>> {
    Json(hub.look(|fleet| fleet.snapshots.rows()))
}

/// `POST /_mock/snapshots` `{"name"}`: 201 with the row. A name that is taken is a 409, and so is
/// one snapshot too many.
pub(crate) async fn take(
    State(hub): State<Arc<Hub>>,
    body: Bytes,
) -> Result<(StatusCode, Json<SnapshotRow>), Refusal> {
    let mut fields = Fields::parse(&body)?;
    let name = fields.required_string("name")?;
    fields.finish()?;
    let row = hub.step(|fleet, now| fleet.take_snapshot(now, &name))?;
    Ok((StatusCode::CREATED, Json(row)))
}

/// `DELETE /_mock/snapshots/{name}`.
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    hub.step(|fleet, _| fleet.snapshots.remove(&name))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /_mock/snapshots/{name}/restore`. What becomes due by it has happened when the answer
/// comes.
pub(crate) async fn restore(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    Fields::parse(&body)?.finish()?;
    hub.step(|fleet, now| fleet.restore(now, &name))?;
    Ok(StatusCode::NO_CONTENT)
}
