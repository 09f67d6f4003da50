//! What the HTTP APIs of an app remember, and what they allow.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    fields::{Fields, Query},
    refusal::Refusal,
};
use crate::{
    core::{App, Media, VerbError, quoted},
    hub::Hub,
};

/// `GET /_mock/apps/{clientId}/reactions`: the robot's reactions that stand.
pub(crate) async fn reactions(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let rows = hub.look(|fleet| fleet.app(&client_id).map(|app| app.api.reactions.rows()))?;
    Ok(Json(json!(rows)))
}

/// `POST /_mock/apps/{clientId}/files?name=a.pdf&conversation=`: a person's file, as bytes. 201 with
/// the `downloadCode` that a message would carry; with the id of a group it stands in the group's
/// space, and `spaceId` and `dentryId` say where.
pub(crate) async fn add_file(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut query = Query::of(&uri);
    let name = query.string("name").unwrap_or_else(|| "file".to_owned());
    let group = query.string("conversation");
    query.finish()?;
    let shown = hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, cx| {
            let sent = Media::new(name.as_str(), "", body);
            if let Some(group) = group {
                return Ok(json!(app.add_group_file(cx, &group, sent)?));
            }
            let media = &mut app.api.media;
            let file = media.sent_by_person(&mut app.mint, app.number, sent, cx.now);
            let size = file.bytes.len();
            let sha256 = file.sha256();
            Ok(json!({ "downloadCode": file.id, "name": name, "size": size, "sha256": sha256 }))
        })
    })?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `GET /_mock/apps/{clientId}/media/{id}`: the bytes of a file, uploaded or sent by a person.
pub(crate) async fn media(
    State(hub): State<Arc<Hub>>,
    Path((client_id, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let file = hub.look(|fleet| {
        let file = fleet.app(&client_id)?.api.media.get(&id);
        file.map(|file| (file.content_type(), file.bytes.clone()))
            .ok_or_else(|| VerbError::NotFound { what: "file", name: id.clone() })
    })?;
    Ok(([(header::CONTENT_TYPE, file.0)], file.1).into_response())
}

/// `POST /_mock/apps/{clientId}/reads` `{"userId","processQueryKey"}`: a person reads a message.
pub(crate) async fn read(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let user_id = fields.required_string("userId")?;
    let key = fields.required_string("processQueryKey")?;
    fields.finish()?;
    hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, cx| {
            if app.people.get(&user_id).is_none() {
                let allowed = "a person of the app";
                return Err(VerbError::invalid("userId", quoted(&user_id), allowed));
            }
            if app.api.pushes.read(&key, &user_id, cx.now.unix_ms) {
                return Ok(());
            }
            let allowed = "the processQueryKey of a message that the robot sent";
            Err(VerbError::invalid("processQueryKey", quoted(&key), allowed))
        })
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /_mock/apps/{clientId}/limits`.
pub(crate) async fn limits(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    show_limits(&hub, &client_id)
}

/// `POST /_mock/apps/{clientId}/limits` `{"perSecond"?,"perMonth"?,"undocumentedReplies"?}`;
/// `"none"` takes a limit away.
pub(crate) async fn set_limits(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let per_second = Change::read(&mut fields, "perSecond", MOST)?;
    let per_month = Change::read(&mut fields, "perMonth", MOST)?;
    let undocumented = fields.bool("undocumentedReplies")?;
    fields.finish()?;
    hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, _| {
            let api = &mut app.api;
            per_second.apply(&mut api.limits.per_second);
            per_month.apply(&mut api.limits.per_month);
            api.undocumented_replies = undocumented.unwrap_or(api.undocumented_replies);
            Ok(())
        })
    })?;
    show_limits(&hub, &client_id)
}

/// No limit is larger.
const MOST: u64 = 1_000_000_000;

fn show_limits(hub: &Hub, client_id: &str) -> Result<Json<Value>, Refusal> {
    let show = |app: &mut App, now| {
        json!({
            "perSecond": app.api.limits.per_second,
            "perMonth": app.api.limits.per_month,
            "usedThisMonth": app.api.limits.used(now),
            "undocumentedReplies": app.api.undocumented_replies,
        })
    };
    let shown =
        hub.step(|fleet, now| fleet.act(now, client_id, |app, cx| Ok(show(app, cx.now))))?;
    Ok(Json(shown))
}

/// What a call wants of a limit.
enum Change {
    Keep,
    Lift,
    Set(u64),
}

impl Change {
    fn read(fields: &mut Fields, name: &'static str, most: u64) -> Result<Self, VerbError> {
        match fields.take(name) {
            None => Ok(Self::Keep),
            Some(Value::String(word)) if word == "none" => Ok(Self::Lift),
            Some(value) => match value.as_u64().filter(|limit| *limit <= most) {
                Some(limit) => Ok(Self::Set(limit)),
                None => Err(fields.wrong(name, &value, &format!("0 to {most}, or \"none\""))),
            },
        }
    }

    fn apply(&self, limit: &mut Option<u64>) {
        match self {
            Self::Keep => {}
            Self::Lift => *limit = None,
            Self::Set(new) => *limit = Some(*new),
        }
    }
}
