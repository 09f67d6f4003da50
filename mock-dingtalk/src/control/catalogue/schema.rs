//! JSON Schemas of what control calls take and give. Null counts as not given everywhere.

mod answers;
mod faults;
mod people;
mod scenario;

use serde_json::{Map, Value, json};

pub(crate) use self::{faults::ACTIONS, scenario::scenario};
pub(super) use self::{
    faults::{disconnect, fault, raw, tcp_fault},
    people::{callback, custom_robot, event, message, press, read},
};
use crate::core::{Permission, Profile};

/// An object with these members and no others.
fn object(required: &[&str], properties: Value) -> Value {
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    schema["properties"] = properties;
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn words<T>(names: &[(&str, T)]) -> Value {
    json!({ "enum": names.iter().map(|(name, _)| *name).collect::<Vec<_>>() })
}

/// A schema of `components`.
pub(in crate::control) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": text() })
}

fn string_or(other: &str) -> Value {
    json!({ "enum": [other, "string"] })
}

pub(super) fn nothing() -> Value {
    object(&[], json!({}))
}

pub(super) fn snapshot() -> Value {
    object(&["name"], json!({ "name": text() }))
}

pub(super) fn mint() -> Value {
    let mut profiles: Vec<&str> = Profile::NAMES.iter().map(|(name, _)| *name).collect();
    profiles.push("tls");
    object(
        &[],
        json!({
            "clientId": text(),
            "clientSecret": text(),
            "robotCode": text(),
            "corpId": text(),
            "profile": { "enum": profiles },
            "sameMessageId": flag(),
            "ghostFor": reference("Duration"),
            "lenient": flag(),
            "missingPermissions": permissions(),
            "seed": count(),
        }),
    )
}

pub(super) fn delivery() -> Value {
    object(
        &[],
        json!({
            "profile": words(&Profile::NAMES),
            "sameMessageId": flag(),
            "ghostFor": reference("Duration"),
        }),
    )
}

pub(super) fn clock() -> Value {
    json!({ "anyOf": [
        object(&["advance"], json!({ "advance": reference("Duration") })),
        object(&["pause"], json!({ "pause": flag() })),
        object(&["jump"], json!({ "jump": {
            "type": "string",
            "description": "a duration with an optional sign; the wall clock alone jumps",
        } })),
        object(&["scale"], json!({ "scale": {
            "type": "number",
            "minimum": 0.01,
            "maximum": 1000,
            "description": "how fast time passes; rounded to three decimals",
        } })),
    ] })
}

pub(super) fn limits() -> Value {
    let limit = json!({ "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": crate::core::MOST_CALLS },
        { "enum": ["none"] },
    ] });
    object(
        &[],
        json!({
            "perSecond": limit,
            "perMinute": limit,
            "perMonth": limit,
            "messagesPerMonth": limit,
            "flowControlled": { "type": "array", "items": text() },
            "undocumentedReplies": flag(),
        }),
    )
}

/// Permissions, by their codes.
fn permissions() -> Value {
    json!({ "type": "array", "items": words(&Permission::NAMES) })
}

pub(super) fn change_permissions() -> Value {
    object(&[], json!({ "grant": permissions(), "revoke": permissions() }))
}

/// The schemas that others refer to.
pub(in crate::control) fn components() -> Map<String, Value> {
    let duration = json!({
        "type": "string",
        "pattern": "^([0-9]+(ms|s|m|h|d))+$",
        "description": "such as 90s, 2h1s, 1m30s or 250ms; at most ten years",
    });
    [
        ("Action", faults::action()),
        ("App", answers::app()),
        ("Clock", answers::clock()),
        ("Cut", faults::cut()),
        ("Duration", duration),
        ("Error", answers::error()),
        ("Media", people::media()),
        (
            "Permissions",
            object(
                &["granted", "missing"],
                json!({ "granted": permissions(), "missing": permissions() }),
            ),
        ),
        ("Quote", people::quote()),
        ("Removed", answers::removed()),
        ("Said", answers::said()),
        ("Snapshot", answers::snapshot()),
        ("Speech", people::speech()),
        ("Strictness", object(&["lenient"], json!({ "lenient": flag() }))),
        ("Times", faults::times()),
        ("When", faults::when()),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
    .into_iter()
    .collect()
}
