//! Presses on cards, custom robots, strictness.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use serde_json::{Map, Value, json};

use super::{fields::Fields, refusal::Refusal, speech};
use crate::{
    core::{BaseUrl, CardPress, CustomRobotOptions, CustomRobotRow, Said, VerbError},
    hub::Hub,
    server::Arrival,
};

/// `POST /_mock/apps/{clientId}/card-actions`: `{"outTrackId","userId","actionIds"?,"params"?,
/// "spaceId"?,"extension"?}` with `actionIds` or `params`.
pub(crate) async fn press(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Said>), Refusal> {
    let mut fields = Fields::parse(&body)?;
    let out_track_id = fields.required_string("outTrackId")?;
    let press = read_press(fields, out_track_id)?;
    let said =
        hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| app.press_card(cx, &press)));
    Ok((StatusCode::ACCEPTED, Json(said?)))
}

/// Reads a press on this card, as `press` takes it.
pub(crate) fn read_press(mut fields: Fields, card: String) -> Result<CardPress, VerbError> {
    let mut press = CardPress::new(card, fields.required_string("userId")?, "");
    let action_ids = fields.strings("actionIds")?;
    let params = object(&mut fields, "params")?;
    if action_ids.is_none() && params.is_none() {
        return Err(fields.missing("actionIds", "an array of strings, or params"));
    }
    press.action_ids = action_ids.unwrap_or_default();
    press.params = params.unwrap_or_default();
    press.space_id = fields.string("spaceId")?;
    press.extension = object(&mut fields, "extension")?.unwrap_or_default();
    fields.finish()?;
    Ok(press)
}

/// `POST /_mock/apps/{clientId}/custom-robots`: `{"conversation"?,"secret"?,"keywords"?,
/// "ipWhitelist"?}`; `"secret":""` makes one up. 201 with `accessToken` and `webhook`.
pub(crate) async fn add_custom_robot(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<CustomRobotRow>), Refusal> {
    let mut fields = Fields::parse(&body)?;
    let options = CustomRobotOptions {
        conversation: fields.object("conversation")?.map(speech::read_group).transpose()?,
        secret: fields.string("secret")?,
        keywords: fields.strings("keywords")?.unwrap_or_default(),
        ip_whitelist: fields.strings("ipWhitelist")?.unwrap_or_default(),
    };
    fields.finish()?;
    let base = base(&hub, &arrival, &headers);
    let row = hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, cx| app.add_custom_robot(cx, &options, &base))
    })?;
    Ok((StatusCode::CREATED, Json(row)))
}

/// `GET /_mock/apps/{clientId}/custom-robots`.
pub(crate) async fn custom_robots(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
) -> Result<Json<Vec<CustomRobotRow>>, Refusal> {
    let base = base(&hub, &arrival, &headers);
    Ok(Json(hub.look(|fleet| fleet.app(&client_id).map(|app| app.custom_robot_rows(&base)))?))
}

/// `GET /_mock/apps/{clientId}/strictness`.
pub(crate) async fn strictness(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let lenient = hub.look(|fleet| fleet.app(&client_id).map(|app| app.api.lenient))?;
    Ok(Json(json!({ "lenient": lenient })))
}

/// `POST /_mock/apps/{clientId}/strictness` `{"lenient":true}`.
pub(crate) async fn set_strictness(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let lenient = fields.bool("lenient")?;
    let lenient = lenient.ok_or_else(|| fields.missing("lenient", "true or false"))?;
    fields.finish()?;
    hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, _| {
            app.api.lenient = lenient;
            Ok(())
        })
    })?;
    Ok(Json(json!({ "lenient": lenient })))
}

/// The address by which the caller reached the mock.
fn base(hub: &Hub, arrival: &Arrival, headers: &HeaderMap) -> BaseUrl {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    BaseUrl::choose(host, hub.settings.public_url.as_deref(), &arrival.local.to_string())
}

fn object(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<Map<String, Value>>, VerbError> {
    match fields.take(name) {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(other) => Err(fields.wrong(name, &other, "an object")),
    }
}
