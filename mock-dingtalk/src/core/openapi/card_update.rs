//! `PUT /v1.0/card/instances` and `PUT /v1.0/card/streaming`: a card changes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value, json};

use super::{
    answer::Reply,
    ask::{Ask, Fields, refuse},
    card_create::{out_track_id, param_map, private_data, too_much},
};
use crate::core::{
    app::{App, Cx},
    card::{Card, Guids, Stage, merge},
    findings::Rule,
    journal::Diagnosis,
    lifetime,
    memory::map_bytes,
    mutation::Mutation,
};

const SEE: &str = "openapi.md 6.5 (KB 0782)";
const SEE_STREAM: &str = "openapi.md 6.6 and 6.7 (KB 0785)";
/// Bytes of one streamed content that the page recommends.
const RECOMMENDED: usize = 1 << 10;
/// Bytes of one streamed content that this mock takes. The page names no hard limit, and clients
/// in use stream whole answers: our choice.
const MAX_CONTENT: usize = 64 << 10;
/// The same where the app is treated leniently: what a card may take at all.
const MAX_LENIENT: usize = lifetime::CARD_BYTES;

/// `PUT /v1.0/card/instances`. Without options the whole map is overwritten.
pub(super) fn update(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object("param.empty", SEE)?;
    let id = out_track_id(body)?;
    let public = body.get("cardData").map(|data| param_map(app, data, "cardData")).transpose()?;
    let private = body.get("privateData").map(|_| private_data(app, body)).transpose()?;
    if public.is_none() && private.is_none() {
        let problem = "neither cardData nor privateData is there";
        let code = "param.cardDataAndPrivateDataBothEmpty";
        return Err(refuse(code, problem, "one of them", SEE));
    }
    let Some(card) = app.api.cards.get_mut(id) else {
        let problem = format!("the app has no card {id:?}");
        return Err(refuse("param.cardNotExist", problem, "the outTrackId of a card", SEE));
    };
    let by_key = |name: &str| {
        let options = body.get("cardUpdateOptions");
        options.and_then(|options| options.get(name)).and_then(Value::as_bool).unwrap_or(false)
    };
    if let Some(bytes) = outgrown(card, public.as_ref(), private.as_ref()) {
        return Err(too_much(bytes));
    }
    if let Some(params) = public {
        card.change(params, by_key("updateCardDataByKey"));
    }
    for (user_id, params) in private.unwrap_or_default() {
        let (Value::Object(params), mine) = (params, card.private.entry(user_id)) else { continue };
        if let Value::Object(mine) = mine.or_insert_with(|| Value::Object(Map::new())) {
            merge(mine, params, by_key("updatePrivateDataByKey"));
        }
    }
    app.refresh_card(cx, id);
    Ok(Reply::ok(json!({ "success": true, "result": true })))
}

/// What a card would take with these maps, if that is too much. What they replace still counts,
/// until it is gone.
pub(crate) fn outgrown(
    card: &Card,
    public: Option<&Map<String, Value>>,
    private: Option<&Map<String, Value>>,
) -> Option<usize> {
    let added = public.map_or(0, map_bytes) + private.map_or(0, map_bytes);
    (!card.takes(added)).then(|| card.bytes() + added)
}

/// `PUT /v1.0/card/streaming`. An empty content is taken: clients open and close with one.
pub(super) fn stream(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let body = ask.object("param.empty", SEE_STREAM)?;
    let id = body.required("outTrackId", "param.stream.outTrackId", SEE_STREAM)?;
    let guid = body.required("guid", "param.stream.guidEmpty", SEE_STREAM)?;
    let key = body.required("key", "param.stream.keyEmpty", SEE_STREAM)?;
    let content = content(app, body)?;
    let most = if app.api.lenient { MAX_LENIENT } else { MAX_CONTENT };
    let [full, finalize, error] = ["isFull", "isFinalize", "isError"].map(|name| flag(body, name));
    let (full, finalize, error) = (full?, finalize?, error?);
    let card = streamed_card(app, id)?;
    let done = Reply::ok(json!({ "success": true, "result": true }));
    let (hash, hashed_guid) = (fingerprint(body), hashed(guid));
    if let Some(known) = card.guids.get(hashed_guid) {
        let problem = format!("the guid {guid:?} was used already: nothing changed");
        let diagnosis = Diagnosis::new(problem, "a new guid for every call", SEE_STREAM);
        // With the same content it is a retry, as it should be.
        let rule = if known == hash { Rule::CallRemarked } else { Rule::CardGuidReused };
        return Ok(done.diagnosed(diagnosis.of(rule)));
    }
    let doubts = [unknown_key(card, key), appended_markdown(card, key, full)];
    for refusal in doubts.into_iter().flatten() {
        app.api.tolerate(refusal)?;
    }
    let goes_on = app.mutated(Mutation::CardAfterEnd);
    let card = streamed_card(app, id)?;
    if (card.stage == Stage::Finished || card.stage == Stage::Failed) && !goes_on {
        // What DingTalk answers is not known; that the finished text stays is our choice.
        let problem = "the card is finished: nothing changed";
        let diagnosis = Diagnosis::new(problem, "nothing after isFinalize or isError", SEE_STREAM);
        return Ok(done.diagnosed(diagnosis));
    }
    let before = card.params.get(key).and_then(Value::as_str).unwrap_or_default();
    let text = if full { content.to_owned() } else { format!("{before}{content}") };
    if text.len() > most {
        return Err(too_large(text.len()));
    }
    if !card.takes(text.len() + key.len()) {
        return Err(too_much(card.bytes() + text.len()));
    }
    card.params.insert(key.to_owned(), text.into());
    card.streamed = Some(key.to_owned());
    card.stage = match (finalize, error) {
        (_, true) => Stage::Failed,
        (true, false) => Stage::Finished,
        (false, false) => Stage::Inputing,
    };
    let status = match card.stage {
        Stage::Failed => "5",
        Stage::Finished => "3",
        Stage::Delivered | Stage::Inputing => "2",
    };
    card.params.insert("flowStatus".to_owned(), status.into());
    match card.stage {
        Stage::Finished | Stage::Failed => card.guids = Guids::default(),
        Stage::Delivered | Stage::Inputing => card.guids.add(hashed_guid, hash),
    }
    let repeats = full && card.last_call.replace(hash) == Some(hash);
    app.refresh_card(cx, id);
    if repeats {
        let problem = format!("the content came just before under another guid than {guid:?}");
        let diagnosis = Diagnosis::new(problem, "a retry with the same guid", SEE_STREAM);
        return Ok(done.diagnosed(diagnosis.of(Rule::CardGuidNew)));
    }
    if content.len() <= RECOMMENDED {
        return Ok(done);
    }
    let problem = format!("content has {} bytes", content.len());
    let expected = format!("at most {RECOMMENDED} in one call, as the page recommends");
    Ok(done.diagnosed(Diagnosis::new(problem, expected, SEE_STREAM)))
}

/// What tells one streaming call from another, but for its guid.
fn fingerprint(body: Fields<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in body.0.iter().filter(|(name, _)| *name != "guid") {
        (name, value.to_string()).hash(&mut hasher);
    }
    hasher.finish()
}

fn hashed(guid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    guid.hash(&mut hasher);
    hasher.finish()
}

fn content<'a>(app: &mut App, body: Fields<'a>) -> Result<&'a str, Reply> {
    match body.get("content").and_then(Value::as_str) {
        None => {
            let problem = "content is missing or no string";
            Err(refuse("param.stream.contentEmpty", problem, "a string", SEE_STREAM))
        }
        Some(content) => {
            if content.len() > MAX_CONTENT {
                app.api.tolerate(too_large(content.len()))?;
            }
            Ok(content)
        }
    }
}

fn too_large(bytes: usize) -> Reply {
    let problem = format!("the content has {bytes} bytes");
    let diagnosis = Diagnosis::new(problem, format!("at most {MAX_CONTENT}"), SEE_STREAM);
    Reply::error(400, "param.stream.content", "content is too large").diagnosed(diagnosis)
}

fn flag(body: Fields<'_>, name: &str) -> Result<bool, Reply> {
    match body.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => {
            let problem = format!("{name} is neither true nor false");
            Err(refuse("param.stream.isFull", problem, "true or false", SEE_STREAM))
        }
    }
}

fn streamed_card<'a>(app: &'a mut App, id: &str) -> Result<&'a mut Card, Reply> {
    app.api.cards.get_mut(id).ok_or_else(|| {
        let problem = format!("the app has no card {id:?}");
        let diagnosis = Diagnosis::new(problem, "the outTrackId of a card", SEE_STREAM);
        Reply::error(400, "param.stream.outTrackId", "card is not exist").diagnosed(diagnosis)
    })
}

/// What is answered to a variable that the template lacks.
fn unknown_key(card: &Card, key: &str) -> Option<Reply> {
    let variables = card.variables.as_ref().filter(|variables| !variables.contains(key))?;
    let names: Vec<&str> = variables.iter().map(String::as_str).collect();
    let diagnosis = Diagnosis::new(
        format!("the template has no variable {key:?}"),
        format!("one of {}", names.join(", ")),
        "openapi.md 6.6 (soimy/openclaw-channel-dingtalk#81)",
    );
    Some(Reply::error(500, "unknownError", "未知错误").diagnosed(diagnosis))
}

/// What is answered where Markdown is appended to. Which variables are Markdown is known of the
/// public templates only.
fn appended_markdown(card: &Card, key: &str, full: bool) -> Option<Reply> {
    let markdown = ["msgContent", "content"].contains(&key);
    if full || !markdown || !template_keys(&card.template_id).contains(&key) {
        return None;
    }
    let problem = format!("isFull is false, and {key} is Markdown");
    Some(refuse("param.stream.isFull", problem, "isFull: true, with all of the text", SEE_STREAM))
}

/// The streamed variables of the public templates that clients in use carry.
pub(super) fn template_keys(template_id: &str) -> &'static [&'static str] {
    match template_id {
        "382e4302-551d-4880-bf29-a30acfab2e71.schema"
        | "02fcf2f4-5e02-4a85-b672-46d1f715543e.schema" => &["msgContent"],
        "675cde2f-f526-40cb-b828-f5b2b57b8b77.schema" => &["content", "blockList", "copy_content"],
        _ => &[],
    }
}
