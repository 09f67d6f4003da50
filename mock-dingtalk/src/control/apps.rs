//! `/_mock/apps` and `/_mock/reset`.

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
    core::{App, AppOptions, Fleet},
    hub::Hub,
};

/// `POST /_mock/apps`: mints an app. All fields are optional.
pub(crate) async fn mint(
    State(hub): State<Arc<Hub>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut fields = Fields::parse(&body)?;
    let options = AppOptions {
        client_id: fields.string("clientId")?,
        client_secret: fields.string("clientSecret")?,
        robot_code: fields.string("robotCode")?,
        corp_id: fields.string("corpId")?,
        seed: fields.number("seed")?,
        // More profiles come with the redelivery rules; a name that does nothing would be a lie.
        tls: fields.word("profile", &[("documented", false), ("tls", true)])?.unwrap_or(false),
    };
    fields.finish()?;
    let shown = hub.step(|fleet, now| {
        let info = fleet.mint_app(now, options)?;
        fleet.app(&info.client_id).map(describe)
    })?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `GET /_mock/apps`.
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Json<Value> {
    Json(json!(hub.look(Fleet::infos)))
}

/// `GET /_mock/apps/{clientId}`.
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(hub.look(|fleet| fleet.app(&client_id).map(describe))?))
}

/// `DELETE /_mock/apps/{clientId}`: its connections are reset.
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Refusal> {
    hub.step(|fleet, now| fleet.delete_app(now, &client_id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /_mock/reset`: forgets all apps, resets what is connected. The clock stays.
pub(crate) async fn reset(State(hub): State<Arc<Hub>>, body: Bytes) -> Result<StatusCode, Refusal> {
    Fields::parse(&body)?.finish()?;
    hub.step(Fleet::reset);
    Ok(StatusCode::NO_CONTENT)
}

fn describe(app: &App) -> Value {
    let mut shown = json!(app.info());
    shown["people"] = app.people.all().map(|person| json!(person)).collect();
    shown["conversations"] = app.conversations.all().map(|chat| json!(chat)).collect();
    shown["openConnections"] = app.open_connections().into();
    shown["sent"] = app.sent_count().into();
    shown
}
