//! People speak, fixtures and raw frames are pushed.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{fields::Fields, refusal::Refusal};
use crate::{
    core::{ConversationKind, Outgoing, Said, Say, SayConversation, VerbError, fixture_names},
    hub::Hub,
};

type Spoken = Result<(StatusCode, Json<Said>), Refusal>;

/// `POST /_mock/apps/{clientId}/messages`: `{"from","text"}`, the same with `conversation`, or
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
        let say = read_say(fields)?;
        hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| app.say(cx, &say)))
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
        fleet.act(now, client_id, |app, cx| {
            let keys = match connection {
                Some(name) => app.named(name)?.into_iter().map(Some).collect(),
                None => vec![None],
            };
            let nobody = VerbError::NotFound { what: "live connection", name: "all".to_owned() };
            keys.into_iter()
                .map(|key| app.push_verbatim(cx, key, "raw", frame.clone()))
                .last()
                .ok_or(nobody)
        })
    })?;
    Ok((StatusCode::ACCEPTED, Json(said)))
}

/// `GET /_mock/fixtures`: the names that `messages` takes.
pub(crate) async fn fixtures() -> Json<Value> {
    Json(json!(fixture_names().collect::<Vec<_>>()))
}

fn read_say(mut fields: Fields) -> Result<Say, VerbError> {
    let from = fields.required_string("from")?;
    // Other types come with media; `text` and `content` both hold the words, as on the wire.
    fields.word("msgtype", &[("text", ())])?;
    let text = match fields.string("text")? {
        Some(text) => text,
        None => match fields.take("content") {
            Some(Value::String(text)) => text,
            Some(other) => return Err(fields.wrong("content", &other, "a string")),
            None => return Err(fields.missing("text", "a string")),
        },
    };
    if text.len() > MAX_TEXT {
        let value = format!("{} bytes long", text.len());
        return Err(VerbError::invalid("text", value, format!("at most {MAX_TEXT} bytes")));
    }
    let conversation = match fields.object("conversation")? {
        None => None,
        Some(mut inner) => {
            let kinds = [("1", ConversationKind::Direct), ("2", ConversationKind::Group)];
            let kind = inner.word("type", &kinds)?;
            let kind = kind.ok_or_else(|| inner.missing("type", "\"1\" or \"2\""))?;
            let conversation =
                SayConversation { kind, id: inner.string("id")?, title: inner.string("title")? };
            inner.finish()?;
            Some(conversation)
        }
    };
    fields.finish()?;
    Ok(Say { from, conversation, text })
}

/// DingTalk's own limit is not documented; frames stay below what every SDK takes.
const MAX_TEXT: usize = 200_000;
