//! `PUT /v1.0/card/instances/spaces`, `POST /v1.0/card/callbacks/register` and
//! `POST /v1.0/card/tops/close`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    card_create::{SEE, out_track_id, too_much},
};
use crate::core::{
    app::{App, Cx},
    journal::{Draft, EntryKind},
    memory::map_bytes,
};

const SEE_SPACES: &str = "openapi.md 6.9 (KB 0787)";
const SEE_REGISTER: &str = "openapi.md 6.8 (KB 0786)";
const SEE_CLOSE: &str = "openapi.md 6.9 (KB 0784)";
/// Callback routes of one app: our choice.
const MAX_ROUTES: usize = 1_000;
/// Bytes of an `apiSecret`: our choice.
const MAX_SECRET: usize = 512;
/// Models of spaces that a card may get.
const MODELS: [&str; 5] = [
    "imGroupOpenSpaceModel",
    "imRobotOpenSpaceModel",
    "imSingleOpenSpaceModel",
    "coFeedOpenSpaceModel",
    "topOpenSpaceModel",
];

/// Where presses would be told by HTTP: address and secret, by `callbackRouteKey`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CardRoutes {
    by_key: BTreeMap<String, (String, String)>,
}

impl CardRoutes {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// `PUT /v1.0/card/instances/spaces`: models for spaces that the card lacked, or new ones. The
/// codes are those of the other card calls, for which no page of this call was to be had.
pub(super) fn spaces(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object("param.empty", SEE_SPACES)?;
    let id = out_track_id(body)?;
    let Some(card) = app.api.cards.get_mut(id) else { return Err(no_card(id)) };
    let given = space_models(body)?;
    if given.is_empty() {
        let expected = format!("one of {}", MODELS.join(", "));
        return Err(refuse("param.empty", "there is no space model", expected, SEE_SPACES));
    }
    // The whole body is weighed: what it replaces is not worth a second look.
    let added = map_bytes(body.0);
    if !card.takes(added) {
        return Err(too_much(card.bytes() + added));
    }
    card.space_models.extend(given);
    app.refresh_card(cx, id);
    Ok(Reply::ok(json!({ "success": true, "result": true })))
}

/// The models of spaces in a body, by their names.
pub(super) fn space_models(body: Fields<'_>) -> Result<Map<String, Value>, Reply> {
    let mut models = Map::new();
    for (name, model) in MODELS.into_iter().filter_map(|name| Some((name, body.get(name)?))) {
        if !model.is_object() {
            let problem = format!("{name} is no object");
            return Err(refuse("param.openSpaceModelInvalid", problem, "an object", SEE_SPACES));
        }
        models.insert(name.to_owned(), model.clone());
    }
    Ok(models)
}

/// `POST /v1.0/card/callbacks/register`. A key that leads elsewhere already is changed with
/// `forceUpdate` only; what DingTalk answers without it is not documented.
pub(super) fn register(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    const INVALID: &str = "param.invalid";
    let body = ask.object("param.empty", SEE_REGISTER)?;
    let key = body.required("callbackRouteKey", "param.empty", SEE_REGISTER)?;
    let url = body.required("callbackUrl", "param.empty", SEE_REGISTER)?;
    let is_http = url::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
    if !is_http {
        let problem = format!("callbackUrl is {url:?}");
        return Err(refuse(INVALID, problem, "http://… or https://…", SEE_REGISTER));
    }
    if key.len() > 512 || url.len() > 2_048 {
        let problem = "callbackRouteKey or callbackUrl is too long";
        return Err(refuse(INVALID, problem, "at most 512 and 2048 bytes", SEE_REGISTER));
    }
    if body.text("apiSecret").len() > MAX_SECRET {
        let expected = format!("at most {MAX_SECRET} bytes");
        return Err(refuse(INVALID, "apiSecret is too long", expected, SEE_REGISTER));
    }
    let known = app.api.card_routes.by_key.get(key);
    let force = body.get("forceUpdate").and_then(Value::as_bool).unwrap_or(false);
    if known.is_some_and(|(other, _)| other != url) && !force {
        let problem = format!("the callbackRouteKey {key:?} leads elsewhere already");
        return Err(refuse(INVALID, problem, "forceUpdate: true, or another key", SEE_REGISTER));
    }
    if known.is_none() && app.api.card_routes.by_key.len() >= MAX_ROUTES {
        let expected = format!("at most {MAX_ROUTES}");
        return Err(refuse(INVALID, "too many callbackRouteKeys", expected, SEE_REGISTER));
    }
    let secret = match (body.text("apiSecret"), known) {
        ("", Some((_, secret))) => secret.clone(),
        ("", None) => format!("dingmock{}", app.mint.hex(24)),
        (given, _) => given.to_owned(),
    };
    let result = json!({ "callbackUrl": url, "apiSecret": secret });
    app.api.card_routes.by_key.insert(key.to_owned(), (url.to_owned(), secret));
    let text = format!("the callbackRouteKey {key} leads to {url}; nothing is ever sent there");
    app.note(cx, Draft::new(EntryKind::Control, text));
    Ok(Reply::ok(json!({ "success": true, "result": result })))
}

/// `POST /v1.0/card/tops/close?outTrackId=&openConversationId=`: the card leaves the top box.
pub(super) fn close_top(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let text = |name: &str| {
        let in_body = || Some(ask.json?.get(name)?.as_str()?.to_owned());
        ask.call.query(name).or_else(in_body).unwrap_or_default()
    };
    let (id, chat) = (text("outTrackId"), text("openConversationId"));
    for (value, name, code) in [
        (&id, "outTrackId", "param.outTrackIdEmpty"),
        (&chat, "openConversationId", "param.openSpaceIdEmpty"),
    ] {
        if value.is_empty() {
            let problem = format!("{name} is missing or empty");
            return Err(refuse(code, problem, "a parameter of the query", SEE_CLOSE));
        }
    }
    let Some(card) = app.api.cards.get_mut(&id) else { return Err(no_card(&id)) };
    let before = card.spaces.len();
    card.spaces.retain(|(kind, space)| !(kind == "ONE_BOX" && *space == chat));
    if card.spaces.len() == before {
        let problem = format!("the card is in no top box of {chat:?}");
        let expected = "a chat that it was delivered to as ONE_BOX";
        return Err(refuse("param.openSpaceIdInvalid", problem, expected, SEE_CLOSE));
    }
    app.note(cx, Draft::new(EntryKind::Sent, format!("the card {id} leaves the top of {chat}")));
    app.refresh_card(cx, &id);
    Ok(Reply::ok(json!({ "success": true, "result": true })))
}

fn no_card(id: &str) -> Reply {
    let problem = format!("the app has no card {id:?}");
    refuse("param.cardNotExist", problem, "the outTrackId of a card", SEE)
}
