//! What an app's calls may.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};

use super::{fields::Fields, refusal::Refusal};
use crate::{
    core::{Permission, PermissionRow, VerbError},
    hub::Hub,
};

/// `GET /_mock/apps/{clientId}/permissions`.
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<PermissionRow>, Refusal> {
    Ok(Json(hub.look(|fleet| fleet.app(&client_id).map(|app| app.api.permissions.row()))?))
}

/// `POST /_mock/apps/{clientId}/permissions` `{"grant"?,"revoke"?}`: changes what the app's calls
/// may from now on, and shows it.
pub(crate) async fn change(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<Json<PermissionRow>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let grant = read(&mut fields, "grant")?;
    let revoke = read(&mut fields, "revoke")?;
    fields.finish()?;
    if let Some(both) = grant.iter().find(|permission| revoke.contains(permission)) {
        let allowed = "what `grant` does not name";
        return Err(VerbError::invalid("revoke", both.name(), allowed).into());
    }
    let row = hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, _| {
            app.api.permissions.grant(&grant);
            app.api.permissions.revoke(&revoke);
            Ok(app.api.permissions.row())
        })
    })?;
    Ok(Json(row))
}

/// `DELETE /_mock/apps/{clientId}/token`: the access token is over now.
pub(crate) async fn revoke_token(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Refusal> {
    hub.step(|fleet, now| {
        fleet.act(now, &client_id, |app, _| {
            app.token.revoke();
            Ok(())
        })
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// A list of permissions, by their codes.
pub(super) fn read(fields: &mut Fields, name: &'static str) -> Result<Vec<Permission>, VerbError> {
    Ok(fields.words(name, &Permission::NAMES)?.unwrap_or_default())
}
