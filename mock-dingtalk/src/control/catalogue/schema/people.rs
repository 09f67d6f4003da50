//! What people and the corporation do.

use serde_json::{Value, json};

use super::{count, flag, object, reference, string_or, text, texts, words};
use crate::core::{
    DYNAMIC_DATA_TOPIC, GRAPH_TOPIC, MAX_DEPTH, MAX_PARTS, MsgType, QuoteForm, Sample,
};

pub(in crate::control::catalogue) fn message() -> Value {
    json!({ "anyOf": [
        reference("Speech"),
        object(&["fixture"], json!({ "fixture": text() })),
    ] })
}

pub(super) fn speech() -> Value {
    let mut properties = content();
    properties["from"] = text();
    properties["conversation"] = conversation();
    properties["quote"] = reference("Quote");
    properties["variants"] = object(
        &[],
        json!({
            "times": string_or("number"),
            "duration": string_or("number"),
            "content": string_or("object"),
            "senderStaffId": { "enum": ["present", "missing", "empty"] },
            "topic": { "enum": ["bot", "delegate"] },
            "quotaExhausted": flag(),
        }),
    );
    properties["lenient"] = flag();
    object(&["from"], properties)
}

pub(super) fn conversation() -> Value {
    object(&["type"], json!({ "type": { "enum": ["1", "2"] }, "id": text(), "title": text() }))
}

/// `msgtype`, `text`, `content` and `media`.
fn content() -> Value {
    json!({
        "msgtype": words(&MsgType::NAMES),
        "text": text(),
        "content": { "anyOf": [
            { "type": "object" },
            text(),
            { "type": "array", "items": { "type": "object" }, "maxItems": MAX_PARTS },
        ] },
        "media": { "anyOf": [
            reference("Media"),
            { "type": "array", "items": reference("Media"), "maxItems": MAX_PARTS },
        ] },
    })
}

pub(super) fn media() -> Value {
    let with = |name: &str, schema: Value| {
        let mut properties = json!({ "name": text(), "mimeType": text() });
        properties[name] = schema;
        object(&[name], properties)
    };
    json!({ "anyOf": [with("sample", words(&Sample::NAMES)), with("base64", text())] })
}

pub(super) fn quote() -> Value {
    let mut properties = content();
    properties["processQueryKey"] = text();
    properties["msgId"] = text();
    properties["from"] = text();
    properties["createdAt"] = count();
    properties["form"] = words(&QuoteForm::NAMES);
    properties["contentAs"] = string_or("object");
    properties["quote"] = reference("Quote");
    let mut schema = object(&[], properties);
    schema["description"] = format!("at most {MAX_DEPTH} within each other").into();
    schema
}

pub(in crate::control::catalogue) fn event() -> Value {
    json!({ "anyOf": [
        object(
            &["eventType"],
            json!({ "eventType": text(), "data": { "type": "object" }, "eventId": text() }),
        ),
        object(
            &["eventType", "userId", "processQueryKey"],
            json!({
                "eventType": { "enum": ["robot_msg_read", "robot_msg_recall"] },
                "userId": text(),
                "processQueryKey": text(),
            }),
        ),
    ] })
}

pub(in crate::control::catalogue) fn callback() -> Value {
    let known = |topics: [&str; 2], mut properties: Value| {
        properties["topic"] = json!({ "enum": topics });
        object(&["topic"], properties)
    };
    json!({ "anyOf": [
        known(
            ["graph", GRAPH_TOPIC],
            json!({ "method": text(), "uri": text(), "body": text() }),
        ),
        known(
            ["dynamicData", DYNAMIC_DATA_TOPIC],
            json!({ "outTrackId": text(), "dynamicDataSourceId": text() }),
        ),
        object(&["topic", "data"], json!({ "topic": text(), "data": { "type": "object" } })),
    ] })
}

pub(in crate::control::catalogue) fn press() -> Value {
    let properties = |needed: &str| {
        let mut properties = json!({
            "outTrackId": text(),
            "userId": text(),
            "actionIds": texts(),
            "params": { "type": "object" },
            "spaceId": text(),
            "extension": { "type": "object" },
        });
        properties[needed]["description"] = "one of `actionIds` and `params` is needed".into();
        object(&["outTrackId", "userId", needed], properties)
    };
    json!({ "anyOf": [properties("actionIds"), properties("params")] })
}

pub(in crate::control::catalogue) fn custom_robot() -> Value {
    let group = json!({ "type": { "enum": ["2"] }, "id": text(), "title": text() });
    object(
        &[],
        json!({
            "conversation": object(&[], group),
            "secret": { "type": "string", "description": "empty: one is made up" },
            "keywords": texts(),
            "ipWhitelist": texts(),
        }),
    )
}

pub(in crate::control::catalogue) fn read() -> Value {
    object(&["userId", "processQueryKey"], json!({ "userId": text(), "processQueryKey": text() }))
}
