//! The control API: the library's verbs over HTTP, below `/_mock`.

mod action_json;
mod api_state;
mod apps;
mod breaking;
mod ca;
mod cards;
mod catalogue;
mod clock;
mod description;
mod env;
mod events;
mod fault_json;
mod fields;
mod findings;
mod guard;
mod journal;
mod messages;
mod pages;
mod permissions;
mod pushes;
mod refusal;
mod rows;
mod snapshots;
mod speech;
mod tcp_faults;

use std::sync::Arc;

use axum::{Router, middleware, routing::any};

use self::refusal::Refusal;
pub(crate) use self::{
    action_json::read_cut,
    apps::read_delivery as read_rules,
    breaking::REASON,
    cards::read_press,
    catalogue::schema::{ACTIONS as FAULT_ACTIONS, scenario as scenario_schema},
    clock::read_turn,
    description::document,
    fault_json::read as read_fault,
    fields::Fields,
    speech::{read as read_speech, read_conversation, read_media},
};
use crate::hub::Hub;

/// All control calls, as the catalogue lists them. Whoever may not use them is turned away before
/// any handler runs.
pub(crate) fn router(hub: Arc<Hub>) -> Router<Arc<Hub>> {
    let (mut guarded, mut open) = (Router::new(), Router::new());
    for call in catalogue::calls() {
        let router = if call.open { &mut open } else { &mut guarded };
        *router = std::mem::take(router).route(call.path, call.route());
    }
    guarded
        .route("/_mock", any(unknown))
        .route("/_mock/{*rest}", any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(hub, guard::admit))
        // Whether it is there at all is no secret.
        .merge(open.method_not_allowed_fallback(wrong_method))
}

async fn unknown() -> Refusal {
    Refusal::not_found("there is no such control call; GET /_mock/openapi.json lists them")
}

async fn wrong_method() -> Refusal {
    Refusal::wrong_method()
}
