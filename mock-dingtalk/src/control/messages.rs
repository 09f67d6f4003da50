//! People speak, fixtures and raw frames are pushed.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{fields::Fields, refusal::Refusal, speech};
use crate::{
    core::{Outgoing, Said, fixture_names},
    hub::Hub,
};

type Spoken = Result<(StatusCode, Json<Said>), Refusal>;

/// `POST /_mock/apps/{clientId}/messages`: what `speech` reads, or
/// `{"fixture":"stream/callback_bot_text_dm"}`.
pub(crate) async fn speak(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Spoken {
    let mut fields = Fields::parse(&body)?;
    let said = if let Some(name) = fields.string("fixture")? {
        fields.finish()?;
        hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| app.push_fixture(cx, &name)))
    } else {
        let speech = speech::read(fields)?;
        hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| app.speak(cx, &speech)))
    };
    Ok((StatusCode::ACCEPTED, Json(said?)))
}

/// `POST /_mock/apps/{clientId}/frames`: `{"raw":"…"}` goes as a text message to one of the open
/// connections.
pub(crate) async fn push_raw(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Spoken {
    push(&hub, &client_id, None, &body)
}

/// `POST /_mock/apps/{clientId}/connections/{id}/frames`: the same, to this connection.
pub(crate) async fn push_raw_to(
    State(hub): State<Arc<Hub>>,
    Path((client_id, id)): Path<(String, String)>,
    body: Bytes,
) -> Spoken {
    push(&hub, &client_id, Some(&id), &body)
}

fn push(hub: &Hub, client_id: &str, connection: Option<&str>, body: &[u8]) -> Spoken {
    let mut fields = Fields::parse(body)?;
    let frame = Outgoing::Text(fields.required_string("raw")?.into());
    fields.finish()?;
    let said = hub.step(|fleet, now| {
        fleet.act(now, client_id, |app, cx| match connection {
            Some(name) => app.push_raw_to(cx, name, &frame),
            None => Ok(app.push_verbatim(cx, None, "raw", frame)),
        })
    })?;
    Ok((StatusCode::ACCEPTED, Json(said)))
}

/// `GET /_mock/fixtures`: the names that `messages` takes.
pub(crate) async fn fixtures() -> Json<Value> {
    Json(json!(fixture_names().collect::<Vec<_>>()))
}
