//! `POST /v1.0/card/instances`, `…/deliver` and `…/createAndDeliver`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    card_more, card_update,
    pushes::{Aim, Push},
};
use crate::core::{
    app::{App, Cx},
    card::{Card, Guids, Stage},
    conversation::ConversationKind,
    lifetime,
    sent::SentRow,
};

pub(super) const SEE: &str = "openapi.md 6 (KB 0780, KB 0781, KB 0783)";
/// Bytes of an `outTrackId`; our choice.
const MAX_ID: usize = 512;
/// Spaces in one `openSpaceId`; our choice.
const MAX_SPACES: usize = 20;
/// A space's type, the member that holds its delivery model, and whether that has to name the
/// robot. The official Python SDK sends no robot for a direct chat.
const SPACES: [(&str, &str); 4] = [
    ("IM_GROUP", "imGroupOpenDeliverModel"),
    ("IM_ROBOT", "imRobotOpenDeliverModel"),
    ("IM_SINGLE", "imSingleOpenDeliverModel"),
    ("ONE_BOX", "topOpenDeliverModel"),
];

/// `POST /v1.0/card/instances`: `result` is the `outTrackId`.
pub(super) fn create(_: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let (id, card) = new_card(app, ask.object("param.empty", SEE)?)?;
    app.api.cards.add(id, card);
    Ok(Reply::ok(json!({ "success": true, "result": id })))
}

/// `POST /v1.0/card/instances/deliver`: `result` is an array.
pub(super) fn deliver(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object("param.empty", SEE)?;
    let id = out_track_id(body)?;
    if app.api.cards.get(id).is_none() {
        let problem = format!("the app has no card {id:?}");
        return Err(refuse("param.cardNotExist", problem, "an outTrackId of a card", SEE));
    }
    let spaces = spaces(app, body)?;
    let results = deliver_to(cx, app, id, &spaces);
    Ok(Reply::ok(json!({ "success": true, "result": results })))
}

/// `POST /v1.0/card/instances/createAndDeliver`: `result` is an object with `deliverResults`.
pub(super) fn create_and_deliver(
    cx: &mut Cx<'_>,
    app: &mut App,
    ask: &Ask<'_>,
) -> Result<Reply, Reply> {
    let body = ask.object("param.empty", SEE)?;
    let (id, card) = new_card(app, body)?;
    let spaces = spaces(app, body)?;
    app.api.cards.add(id, card);
    let results = deliver_to(cx, app, id, &spaces);
    let result = json!({ "outTrackId": id, "deliverResults": results });
    Ok(Reply::ok(json!({ "success": true, "result": result })))
}

/// The `outTrackId` of a body.
pub(super) fn out_track_id(body: Fields<'_>) -> Result<&str, Reply> {
    let id = body.required("outTrackId", "param.outTrackIdEmpty", SEE)?;
    if id.len() > MAX_ID {
        let problem = format!("outTrackId has {} bytes", id.len());
        return Err(refuse("param.invalid", problem, format!("at most {MAX_ID}"), SEE));
    }
    Ok(id)
}

fn new_card<'a>(app: &mut App, body: Fields<'a>) -> Result<(&'a str, Card), Reply> {
    let template = body.required("cardTemplateId", "param.cardTemplateIdEmpty", SEE)?;
    let id = out_track_id(body)?;
    let Some(data) = body.get("cardData") else {
        let problem = "cardData is missing";
        let expected = r#"{"cardParamMap":{}}"#;
        return Err(refuse("param.cardPublicDataEmpty", problem, expected, SEE));
    };
    let callback = match body.text("callbackType") {
        "" => None,
        word @ ("STREAM" | "HTTP") => Some(word.to_owned()),
        word => {
            let problem = format!("callbackType is {word:?}");
            app.api.tolerate(refuse("param.invalid", problem, "STREAM or HTTP", SEE))?;
            None
        }
    };
    if app.api.cards.get(id).is_some() {
        let problem = format!("there is a card {id:?} already");
        return Err(refuse("param.cardAlreadyExist", problem, "a new outTrackId", SEE));
    }
    let params = param_map(app, data, "cardData")?;
    let card = Card {
        template_id: template.to_owned(),
        variables: variables(template, &params),
        params,
        private: private_data(app, body)?,
        callback,
        streamed: None,
        stage: Stage::Delivered,
        seqs: Vec::new(),
        spaces: Vec::new(),
        space_models: card_more::space_models(body)?,
        guids: Guids::default(),
        last_call: None,
    };
    if !card.takes(0) {
        return Err(too_much(card.bytes()));
    }
    Ok((id, card))
}

/// The variables of a template are known where it is public, and else inferred from what the card
/// came with. One that came with none, but for its state, may have any.
fn variables(template: &str, params: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let known = card_update::template_keys(template);
    if known.is_empty() && params.keys().all(|name| name == "flowStatus") {
        return None;
    }
    Some(
        params.keys().map(String::as_str).chain(known.iter().copied()).map(str::to_owned).collect(),
    )
}

/// A card would take too much memory: no page has a limit, so this one is our choice.
pub(super) fn too_much(bytes: usize) -> Reply {
    let problem = format!("the card would take {bytes} bytes of memory");
    refuse("param.invalid", problem, format!("at most {}", lifetime::CARD_BYTES), SEE)
}

/// `cardParamMap` of `cardData`: strings only, says the page. Lenient: others are written as JSON.
pub(super) fn param_map(
    app: &mut App,
    data: &Value,
    at: &str,
) -> Result<Map<String, Value>, Reply> {
    let mut map = match data.get("cardParamMap") {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(map)) => map.clone(),
        Some(_) => {
            let problem = format!("{at}.cardParamMap is no object");
            return Err(refuse("param.invalid", problem, "strings by name", SEE));
        }
    };
    for (name, value) in map.iter_mut().filter(|(_, value)| !value.is_string()) {
        let problem = format!("{at}.cardParamMap.{name} is no string");
        app.api.tolerate(refuse("param.invalid", problem, "JSON written into a string", SEE))?;
        *value = value.to_string().into();
    }
    Ok(map)
}

/// `privateData`: a `cardParamMap` for each user id.
pub(super) fn private_data(app: &mut App, body: Fields<'_>) -> Result<Map<String, Value>, Reply> {
    let mut private = Map::new();
    if let Some(Value::Object(people)) = body.get("privateData") {
        for (user_id, data) in people {
            private.insert(user_id.clone(), Value::Object(param_map(app, data, "privateData")?));
        }
    }
    Ok(private)
}

/// The spaces that `openSpaceId` names, each with its delivery model checked.
fn spaces(app: &App, body: Fields<'_>) -> Result<Vec<(String, String)>, Reply> {
    let named = body.required("openSpaceId", "param.openSpaceIdEmpty", SEE)?;
    let invalid = |problem: String| {
        let expected = "dtv1.card//IM_GROUP.<openConversationId> or //IM_ROBOT.<userId or unionId>";
        refuse("param.openSpaceIdInvalid", problem, expected, SEE)
    };
    let list = named
        .strip_prefix("dtv1.card//")
        .ok_or_else(|| invalid(format!("openSpaceId is {named:?}")))?;
    let mut spaces = Vec::new();
    for space in list.split(';') {
        let (kind, id) = space.split_once('.').unwrap_or_default();
        let Some((kind, model)) = SPACES.iter().find(|(name, _)| *name == kind) else {
            return Err(invalid(format!("openSpaceId names the space {space:?}")));
        };
        let Some(given) = body.get(model) else {
            let problem = format!("{model} is missing");
            return Err(refuse("param.openDeliverModelEmpty", problem, "an object", SEE));
        };
        let robot = given.get("robotCode").and_then(Value::as_str).unwrap_or_default();
        if (robot.is_empty() && *kind == "IM_GROUP")
            || !(robot.is_empty() || robot == app.robot_code)
        {
            let problem = format!("{model}.robotCode is {robot:?}");
            let expected = app.robot_code.clone();
            return Err(refuse("param.openDeliverModelError", problem, expected, SEE));
        }
        spaces.push(((*kind).to_owned(), id.to_owned()));
    }
    if spaces.len() > MAX_SPACES {
        return Err(invalid(format!("openSpaceId names {} spaces", spaces.len())));
    }
    Ok(spaces)
}

/// Delivers a card to each space. What fails is told inside the result, with HTTP 200.
fn deliver_to(cx: &mut Cx<'_>, app: &mut App, id: &str, spaces: &[(String, String)]) -> Vec<Value> {
    let mut results = Vec::new();
    for (kind, space) in spaces {
        let carrier = app.deliver_card(cx, id, kind, space);
        results.push(json!({
            "spaceType": kind,
            "spaceId": space,
            "success": carrier.is_some(),
            "carrierId": carrier.clone().unwrap_or_default(),
            // Seen for a conversation id in an IM_ROBOT space (chenhg5/cc-connect#1144).
            "errorMsg": if carrier.is_some() { "" } else { "spaceId is illegal" },
        }));
    }
    app.refresh_card(cx, id);
    results
}

impl App {
    /// Shows a card in one space: its `carrierId`, or nothing if there is no such space.
    fn deliver_card(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        kind: &str,
        space: &str,
    ) -> Option<String> {
        let (aim, to, chat) = if kind == "IM_ROBOT" {
            // A user id or a union id (openapi.md 6.1).
            let user_id = self.people.named(space)?.user_id.clone();
            let chat = self.conversations.direct(&mut self.mint, &user_id, None)?;
            (Aim::Direct, user_id, chat.id)
        } else {
            let wanted = match kind {
                "IM_SINGLE" => ConversationKind::Direct,
                _ => ConversationKind::Group,
            };
            let chat = self.conversations.get(space).filter(|chat| chat.kind == wanted)?;
            let aim = if kind == "IM_SINGLE" { Aim::Private } else { Aim::Group };
            (aim, chat.user_id.clone().unwrap_or_else(|| space.to_owned()), space.to_owned())
        };
        let carrier = self.mint.process_query_key();
        let card = self.api.cards.get_mut(id)?;
        let row = SentRow {
            seq: self.sent.next_number(),
            via: "card",
            to: to.clone(),
            conversation_id: chat.clone(),
            msgtype: "card".to_owned(),
            text: card.text(),
            media: None,
            raw: card.shown(id),
            in_reply_to: None,
            process_query_key: Some(carrier.clone()),
            recalled: false,
            finished: card.is_finished(),
            at: cx.now.unix_ms,
        };
        card.place(row.seq, kind, space);
        let push = Push {
            key: carrier.clone(),
            aim,
            conversation_id: if aim == Aim::Direct { String::new() } else { chat },
            to: if aim == Aim::Group { Vec::new() } else { vec![to] },
            seqs: vec![row.seq],
            at: cx.now.since_start,
            recalled: false,
            read: BTreeMap::new(),
        };
        self.record_sent(cx, row);
        self.api.pushes.add(push);
        Some(carrier)
    }
}
