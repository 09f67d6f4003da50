//! Faults, and immediate acts on live connections.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{action_json, fault_json, fields::Fields, refusal::Refusal};
use crate::{
    core::{PRESETS, Preset, VerbError, check_cut, quoted},
    hub::Hub,
};

/// The reason that real ones gave (dingtalk-stream-sdk-python#22).
pub(crate) const REASON: &str = "persistent connection is timeout";

/// `POST …/connections/{id}/disconnect`: `{"reason"?, "messageId"?: false, "closes"?: false}`.
pub(crate) async fn disconnect(
    State(hub): State<Arc<Hub>>,
    Path((client_id, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let reason = fields.string("reason")?.unwrap_or_else(|| REASON.to_owned());
    let with_message_id = fields.bool("messageId")?.unwrap_or(true);
    let closes = fields.bool("closes")?.unwrap_or(true);
    fields.finish()?;
    let count = hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, cx| {
            let keys = app.named(&id)?;
            for key in &keys {
                app.announce_end(cx, *key, &reason, with_message_id, closes);
            }
            Ok(keys.len())
        })
    })?;
    Ok(Json(json!({ "connections": count })))
}

/// `POST …/connections/{id}/cut`: `{"type":"rst"}`, `fin`, `blackhole`, or
/// `{"type":"close","code":1000,"reason":"…"}`.
pub(crate) async fn cut(
    State(hub): State<Arc<Hub>>,
    Path((client_id, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let how = action_json::read_cut(&mut fields)?;
    fields.finish()?;
    check_cut(&how)?;
    let count = hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, cx| {
            let keys = app.named(&id)?;
            for key in &keys {
                app.cut(cx, *key, how.clone(), "cut on demand");
            }
            Ok(keys.len())
        })
    })?;
    Ok(Json(json!({ "connections": count })))
}

/// `GET …/faults`.
pub(crate) async fn faults(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let rows = hub.look(|fleet| fleet.app(&client_id).map(|app| app.faults.rows().to_vec()))?;
    Ok(Json(rows.iter().map(fault_json::write).collect()))
}

/// `GET /_mock/presets`: each with how it ends and the reports that it comes from.
pub(crate) async fn presets() -> Json<Value> {
    let rows = PRESETS
        .iter()
        .map(|known| json!({ "name": known.name, "ends": known.ends, "evidence": known.evidence }));
    Json(rows.collect())
}

/// `POST …/faults`: `{"when","times"?,"action"}` or `{"preset":"zombie"}`.
pub(crate) async fn add_fault(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut fields = Fields::parse(&body)?;
    if let Some(name) = fields.string("preset")? {
        let preset = Preset::named(&name)?;
        fields.finish()?;
        let rows = hub.step(|fleet, now| fleet.apply_preset(now, &client_id, preset))?;
        let rows: Vec<Value> = rows.iter().map(fault_json::write).collect();
        return Ok((StatusCode::CREATED, Json(json!({ "preset": preset.name(), "faults": rows }))));
    }
    let fault = fault_json::read(fields)?;
    let add = |fleet: &mut crate::core::Fleet, now| {
        fleet.act(now, &client_id, |app, cx| app.add_fault(cx, fault))
    };
    let row = hub.step(add)?;
    Ok((StatusCode::CREATED, Json(fault_json::write(&row))))
}

/// `DELETE …/faults`: all of them.
pub(crate) async fn clear_faults(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Refusal> {
    hub.step(|fleet, now| fleet.act(now, &client_id, |app, _| Ok(app.faults.clear(None))))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE …/faults/{id}`: one of them.
pub(crate) async fn remove_fault(
    State(hub): State<Arc<Hub>>,
    Path((client_id, id)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let number = fault_id(&id)?;
    let gone = hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, _| Ok(app.faults.clear(Some(number))))
    })?;
    if gone == 0 {
        return Err(VerbError::NotFound { what: "fault", name: id }.into());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the id of a rule.
pub(super) fn fault_id(id: &str) -> Result<u64, VerbError> {
    id.parse().map_err(|_| VerbError::invalid("id", quoted(id), "the id of a fault"))
}
