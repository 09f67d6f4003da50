//! `/_mock/tcp-faults`: what breaks before an app is known.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::Value;

use super::{breaking::fault_id, fault_json, fields::Fields, refusal::Refusal};
use crate::{core::VerbError, hub::Hub};

/// `GET /_mock/tcp-faults`.
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Json<Value> {
    Json(hub.look(|fleet| fleet.tcp_faults().iter().map(fault_json::write).collect()))
}

/// `POST /_mock/tcp-faults`: `{"when":"accept"|"tlsHandshake","times"?,"action"}`.
pub(crate) async fn add(
    State(hub): State<Arc<Hub>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let fault = fault_json::read(Fields::parse(&body)?)?;
    let row = hub.step(|fleet, now| fleet.add_tcp_fault(now, fault))?;
    Ok((StatusCode::CREATED, Json(fault_json::write(&row))))
}

/// `DELETE /_mock/tcp-faults`: all of them.
pub(crate) async fn clear(State(hub): State<Arc<Hub>>) -> StatusCode {
    hub.step(|fleet, _| fleet.clear_tcp_faults(None));
    StatusCode::NO_CONTENT
}

/// `DELETE /_mock/tcp-faults/{id}`: one of them.
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let number = fault_id(&id)?;
    if hub.step(|fleet, _| fleet.clear_tcp_faults(Some(number))) == 0 {
        return Err(VerbError::NotFound { what: "tcp fault", name: id }.into());
    }
    Ok(StatusCode::NO_CONTENT)
}
