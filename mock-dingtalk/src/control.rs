//! The control API: the library's verbs over HTTP, below `/_mock`.

mod action_json;
mod api_state;
mod apps;
mod breaking;
mod ca;
mod cards;
mod clock;
mod env;
mod events;
mod fault_json;
mod fields;
mod findings;
mod guard;
mod journal;
mod messages;
mod pushes;
mod refusal;
mod rows;
mod speech;
mod tcp_faults;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{any, delete, get, post},
};
use serde_json::{Value, json};

use self::refusal::Refusal;
use crate::hub::Hub;

/// All control calls. Whoever may not use them is turned away before any handler runs.
pub(crate) fn router(hub: Arc<Hub>) -> Router<Arc<Hub>> {
    Router::new()
        .route("/_mock/apps", get(apps::list).post(apps::mint))
        .route("/_mock/apps/{client_id}", get(apps::show).delete(apps::remove))
        .route(
            "/_mock/apps/{client_id}/messages",
            post(messages::speak).layer(DefaultBodyLimit::max(speech::MAX_BODY)),
        )
        .route("/_mock/apps/{client_id}/events", post(pushes::event))
        .route("/_mock/apps/{client_id}/callbacks", post(pushes::callback))
        .route("/_mock/apps/{client_id}/card-actions", post(cards::press))
        .route(
            "/_mock/apps/{client_id}/custom-robots",
            get(cards::custom_robots).post(cards::add_custom_robot),
        )
        .route(
            "/_mock/apps/{client_id}/strictness",
            get(cards::strictness).post(cards::set_strictness),
        )
        .route("/_mock/endpoints", get(cards::list_endpoints))
        .route("/_mock/apps/{client_id}/frames", post(messages::push_raw))
        .route("/_mock/apps/{client_id}/delivery", post(apps::delivery))
        .route("/_mock/apps/{client_id}/clock", get(clock::show_of_app).post(clock::turn_of_app))
        .route("/_mock/presets", get(breaking::presets))
        .route("/_mock/apps/{client_id}/sent", get(rows::sent))
        .route("/_mock/apps/{client_id}/reactions", get(api_state::reactions))
        .route("/_mock/apps/{client_id}/files", post(api_state::add_file))
        .route("/_mock/apps/{client_id}/media/{id}", get(api_state::media))
        .route("/_mock/apps/{client_id}/reads", post(api_state::read))
        .route("/_mock/apps/{client_id}/limits", get(api_state::limits).post(api_state::set_limits))
        .route("/_mock/apps/{client_id}/deliveries", get(rows::deliveries))
        .route("/_mock/apps/{client_id}/connections", get(rows::connections))
        .route("/_mock/apps/{client_id}/connections/{id}/disconnect", post(breaking::disconnect))
        .route("/_mock/apps/{client_id}/connections/{id}/cut", post(breaking::cut))
        .route("/_mock/apps/{client_id}/connections/{id}/frames", post(messages::push_raw_to))
        .route(
            "/_mock/apps/{client_id}/faults",
            get(breaking::faults).post(breaking::add_fault).delete(breaking::clear_faults),
        )
        .route("/_mock/apps/{client_id}/faults/{id}", delete(breaking::remove_fault))
        .route("/_mock/apps/{client_id}/findings", get(findings::list).delete(findings::clear))
        .route("/_mock/findings", get(findings::list_of_nobody).delete(findings::clear_of_nobody))
        .route("/_mock/findings/rules", get(findings::rules))
        .route(
            "/_mock/tcp-faults",
            get(tcp_faults::list).post(tcp_faults::add).delete(tcp_faults::clear),
        )
        .route("/_mock/tcp-faults/{id}", delete(tcp_faults::remove))
        .route("/_mock/journal", get(journal::list))
        .route("/_mock/events", get(events::stream))
        .route("/_mock/clock", get(clock::show).post(clock::turn))
        .route("/_mock/env", get(env::show))
        .route("/_mock/ca.pem", get(ca::show))
        .route("/_mock/fixtures", get(messages::fixtures))
        .route("/_mock/reset", post(apps::reset))
        .route("/_mock", any(unknown))
        .route("/_mock/{*rest}", any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(hub, guard::admit))
        // Whether it is there at all is no secret.
        .route("/_mock/ready", get(up))
        .route("/_mock/live", get(up))
}

/// `GET /_mock/ready` and `GET /_mock/live`: whoever can ask gets the answer.
async fn up() -> Json<Value> {
    Json(json!({ "ok": true }))
}

async fn unknown() -> Refusal {
    Refusal::not_found("there is no such control call; the README of mock-dingtalk lists them")
}

async fn wrong_method() -> Refusal {
    Refusal::wrong_method()
}
