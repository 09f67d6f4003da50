//! `/_mock/apps` and `/_mock/reset`.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{fields::Fields, permissions, refusal::Refusal};
use crate::{
    core::{App, AppOptions, DeliveryRules, Fleet, Profile, VerbError},
    hub::Hub,
};

/// `POST /_mock/apps`: mints an app. All fields are optional.
pub(crate) async fn mint(
    State(hub): State<Arc<Hub>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut fields = Fields::parse(&body)?;
    let (profile, tls) =
        fields.word("profile", &mint_profiles())?.unwrap_or((Profile::default(), false));
    let options = AppOptions {
        client_id: fields.string("clientId")?,
        client_secret: fields.string("clientSecret")?,
        robot_code: fields.string("robotCode")?,
        corp_id: fields.string("corpId")?,
        seed: fields.number("seed")?,
        tls,
        lenient: fields.bool("lenient")?,
        missing_permissions: permissions::read(&mut fields, "missingPermissions")?,
        delivery: DeliveryRules { profile, ..read_rules(&mut fields, DeliveryRules::default())? },
    };
    fields.finish()?;
    let shown = hub.step(|fleet, now| {
        let info = fleet.mint_app(now, options)?;
        fleet.app(&info.client_id).map(describe)
    })?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Profiles an app can be minted with: those of delivery, and `tls`, which delivers as documented
/// and makes server-made URLs `https` and `wss`.
fn mint_profiles() -> Vec<(&'static str, (Profile, bool))> {
    let delivery = Profile::NAMES.iter().map(|(name, profile)| (*name, (*profile, false)));
    delivery.chain([("tls", (Profile::default(), true))]).collect()
}

/// `profile`, `sameMessageId` and `ghostFor` of a new app.
pub(crate) fn read_delivery(fields: &mut Fields) -> Result<DeliveryRules, VerbError> {
    read_rules(fields, DeliveryRules::default())
}

/// `profile`, `sameMessageId` and `ghostFor`; what is not given stays.
fn read_rules(fields: &mut Fields, known: DeliveryRules) -> Result<DeliveryRules, VerbError> {
    Ok(DeliveryRules {
        profile: fields.word("profile", &Profile::NAMES)?.unwrap_or(known.profile),
        same_message_id: fields.bool("sameMessageId")?.unwrap_or(known.same_message_id),
        ghost_for: fields.duration("ghostFor")?.unwrap_or(known.ghost_for),
    })
}

/// `POST /_mock/apps/{clientId}/delivery`: changes `profile`, `sameMessageId` and `ghostFor`, and
/// shows them. What was pushed already keeps its fate.
pub(crate) async fn delivery(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let known = hub.look(|fleet| fleet.app(&client_id).map(|app| app.delivery))?;
    let rules = read_rules(&mut fields, known)?;
    fields.finish()?;
    hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, _| {
            app.delivery = rules;
            Ok(())
        })
    })?;
    let ghost_for = u64::try_from(rules.ghost_for.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(json!({
        "profile": rules.profile.name(),
        "sameMessageId": rules.same_message_id,
        "ghostForMs": ghost_for,
    })))
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
    shown["missingPermissions"] = json!(app.api.permissions.row().missing);
    shown
}
