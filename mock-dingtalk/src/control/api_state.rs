//! What the HTTP APIs of an app remember, and what they allow.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    fields::{Fields, Query},
    refusal::Refusal,
};
use crate::{
    core::{MEDIA_BYTES, MOST_CALLS, Media, VerbError},
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
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let (parts, body) = request.into_parts();
    let mut query = Query::of(&parts.uri);
    let name = query.string("name").unwrap_or_else(|| "file".to_owned());
    let group = query.string("conversation");
    query.finish()?;
    let most = MEDIA_BYTES;
    let Ok(body) = axum::body::to_bytes(body, most).await else {
        let allowed = format!("at most {most} bytes");
        return Err(VerbError::invalid("body", "a longer one", allowed).into());
    };
    let media = Media::new(name, "", body);
    let file = hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, cx| match &group {
            Some(group) => app.add_group_file(cx, group, media).map(|file| json!(file)),
            None => app.add_file(cx, media).map(|file| json!(file)),
        })
    })?;
    Ok((StatusCode::CREATED, Json(json!(file))))
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
    hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| app.read_by(cx, &user_id, &key)))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /_mock/apps/{clientId}/limits`.
pub(crate) async fn limits(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    show_limits(&hub, &client_id)
}

/// `POST /_mock/apps/{clientId}/limits` `{"perSecond"?,"perMinute"?,"perMonth"?,
/// "messagesPerMonth"?,"flowControlled"?,"undocumentedReplies"?}`; `"none"` takes a limit away.
pub(crate) async fn set_limits(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let per_second = Change::read(&mut fields, "perSecond")?;
    let per_minute = Change::read(&mut fields, "perMinute")?;
    let per_month = Change::read(&mut fields, "perMonth")?;
    let messages = Change::read(&mut fields, "messagesPerMonth")?;
    let flow_controlled = fields.strings("flowControlled")?;
    let undocumented = fields.bool("undocumentedReplies")?;
    fields.finish()?;
    hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, _| {
            let mut limits = app.api_limits();
            per_second.apply(&mut limits.per_second);
            per_minute.apply(&mut limits.per_minute);
            per_month.apply(&mut limits.per_month);
            messages.apply(&mut limits.messages_per_month);
            limits.flow_controlled = flow_controlled.unwrap_or(limits.flow_controlled);
            limits.undocumented_replies = undocumented.unwrap_or(limits.undocumented_replies);
            app.set_api_limits(limits)
        })
    })?;
    show_limits(&hub, &client_id)
}

fn show_limits(hub: &Hub, client_id: &str) -> Result<Json<Value>, Refusal> {
    let (limits, used, messages) = hub.step(|fleet, now| {
        fleet.act(now, client_id, |app, cx| {
            let used = app.api.limits.used(cx.now);
            Ok((app.api_limits(), used, app.api.limits.messages(cx.now)))
        })
    })?;
    let mut shown = json!(limits);
    shown["usedThisMonth"] = used.into();
    shown["messagesThisMonth"] = messages.into();
    Ok(Json(shown))
}

/// What a call wants of a limit.
enum Change {
    Keep,
    Lift,
    Set(u64),
}

impl Change {
    fn read(fields: &mut Fields, name: &'static str) -> Result<Self, VerbError> {
        match fields.take(name) {
            None => Ok(Self::Keep),
            Some(Value::String(word)) if word == "none" => Ok(Self::Lift),
            Some(value) => match value.as_u64().filter(|limit| *limit <= MOST_CALLS) {
                Some(limit) => Ok(Self::Set(limit)),
                None => Err(fields.wrong(name, &value, &format!("0 to {MOST_CALLS}, or \"none\""))),
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
