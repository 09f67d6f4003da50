//! What the mock answers. It may grow, so that these are open.

use serde_json::{Value, json};

use super::{count, flag, permissions, text};

/// A text that needs a word of explanation.
pub(super) fn id(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

pub(super) fn app() -> Value {
    json!({
        "type": "object",
        "required": ["clientId", "clientSecret", "robotCode", "corpId", "people", "conversations"],
        "properties": {
            "clientId": id("AppKey"),
            "clientSecret": id("AppSecret"),
            "robotCode": text(),
            "corpId": text(),
            "people": { "type": "array", "items": { "type": "object" } },
            "conversations": { "type": "array", "items": { "type": "object" } },
            "openConnections": count(),
            "sent": count(),
            "missingPermissions": permissions(),
        },
    })
}

pub(super) fn said() -> Value {
    json!({
        "type": "object",
        "required": ["msgId", "messageId", "conversationId", "state"],
        "properties": {
            "msgId": id("in the data of robot messages"),
            "messageId": id("in the headers of the frame"),
            "conversationId": text(),
            "state": { "enum": ["pushed", "lost", "queued"] },
        },
    })
}

pub(super) fn clock() -> Value {
    json!({
        "type": "object",
        "required": ["unixMs", "sinceStartMs", "paused", "scale"],
        "properties": {
            "unixMs": { "type": "integer" },
            "sinceStartMs": count(),
            "paused": flag(),
            "scale": { "type": "number" },
        },
    })
}

pub(super) fn removed() -> Value {
    json!({
        "type": "object",
        "required": ["removed"],
        "properties": { "removed": count() },
    })
}

pub(super) fn snapshot() -> Value {
    json!({
        "type": "object",
        "required": ["name", "at", "apps", "bytes"],
        "properties": { "name": text(), "at": count(), "apps": count(), "bytes": count() },
    })
}

pub(super) fn error() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": text(),
                "field": id("which field or parameter, if it was one"),
                "value": id("what it was"),
                "allowed": id("what it may be"),
            },
        } },
    })
}
