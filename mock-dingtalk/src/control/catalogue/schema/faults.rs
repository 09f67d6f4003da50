//! Faults, and what is done to live connections.

use serde_json::{Value, json};

use super::{count, flag, object, reference, text, words};
use crate::{
    control::{action_json::BAD_FRAMES, fault_json::HAPPENINGS},
    core::{MAX_TCP_TIMES, METHODS, PRESETS},
};

pub(in crate::control::catalogue) fn disconnect() -> Value {
    let mut closes = flag();
    closes["description"] = "whether TCP is reset after 10 s; true if not given".into();
    object(&[], json!({ "reason": text(), "messageId": flag(), "closes": closes }))
}

pub(in crate::control::catalogue) fn raw() -> Value {
    object(&["raw"], json!({ "raw": text() }))
}

pub(in crate::control::catalogue) fn fault() -> Value {
    let mut presets: Vec<&str> = PRESETS.iter().map(|known| known.name).collect();
    // An older name.
    presets.push("cable-unplug");
    json!({ "anyOf": [
        object(&["preset"], json!({ "preset": { "enum": presets } })),
        object(
            &["when", "action"],
            json!({
                "when": reference("When"),
                "times": reference("Times"),
                "action": reference("Action"),
            }),
        ),
    ] })
}

/// What breaks before anybody knows whose a connection is.
pub(in crate::control::catalogue) fn tcp_fault() -> Value {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": MAX_TCP_TIMES });
    let times = json!({ "anyOf": [number, object(&["nth"], json!({ "nth": number }))] });
    object(
        &["when", "action"],
        json!({
            "when": { "enum": ["accept", "tlsHandshake"] },
            "times": times,
            "action": reference("Action"),
        }),
    )
}

pub(super) fn when() -> Value {
    let frame = object(
        &[],
        json!({
            "type": { "enum": ["CALLBACK", "EVENT", "SYSTEM"] },
            "topic": text(),
            "connection": text(),
        }),
    );
    let path = json!({
        "type": "string",
        "description": "starts with /; * stands for any run of characters",
    });
    json!({ "anyOf": [
        { "enum": ["open", "upgrade", "connected", "ack"] },
        object(&["path"], json!({ "path": path, "method": { "enum": METHODS } })),
        object(&["frame"], json!({ "frame": frame })),
    ] })
}

pub(super) fn times() -> Value {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let percent = json!({ "type": "integer", "minimum": 0, "maximum": 100 });
    json!({ "anyOf": [
        number,
        { "enum": ["always"] },
        object(&["nth"], json!({ "nth": number })),
        object(&["every"], json!({ "every": number })),
        object(&["for"], json!({ "for": reference("Duration") })),
        object(&["percent", "seed"], json!({ "percent": percent, "seed": count() })),
        object(&["until"], json!({ "until": words(&HAPPENINGS) })),
    ] })
}

/// Each action with its members, those with `?` optional.
pub(crate) const ACTIONS: &[(&str, &[&str])] = &[
    ("status", &["status", "body?"]),
    ("code", &["status?", "code", "message?", "requiredScopes?"]),
    ("empty", &[]),
    ("hang", &[]),
    ("delay", &["for"]),
    ("drop", &["how?"]),
    ("acceptThenCut", &["how?"]),
    ("truncate", &[]),
    ("slowBody", &["for"]),
    ("hangAfterHead", &[]),
    ("cutBody", &[]),
    ("dribble", &["bytes", "every"]),
    ("largeBody", &["bytes", "announced?"]),
    ("redirect", &["to?"]),
    ("downloadUrl", &["url?"]),
    ("lose", &[]),
    ("duplicate", &["copies?"]),
    ("late", &["for"]),
    ("redeliver", &["for"]),
    ("reorder", &[]),
    ("raw", &["text"]),
    ("oversize", &["bytes"]),
    ("messageId", &["messageId"]),
    ("cutAtFrame", &["how?"]),
    ("fragment", &["pieces?"]),
    ("badFrame", &["how?"]),
    ("disconnect", &["closes?"]),
    ("cut", &["how?"]),
    ("mute", &[]),
    ("noPong", &[]),
    ("unroute", &[]),
    ("loseFirst", &[]),
    ("requireShape", &[]),
    ("alert", &[]),
];

pub(super) fn action() -> Value {
    let each = ACTIONS.iter().map(|(name, members)| {
        let mut required = vec!["type"];
        let mut properties = json!({ "type": { "enum": [name] } });
        for member in *members {
            let bare = member.trim_end_matches('?');
            if bare == *member {
                required.push(bare);
            }
            properties[bare] = match bare {
                "how" if *name == "badFrame" => words(&BAD_FRAMES),
                "status" => json!({ "type": "integer", "minimum": 0, "maximum": u16::MAX }),
                "body" => json!({ "enum": ["json", "html", "empty", "blocked"] }),
                "requiredScopes" => json!({ "type": "array", "items": text() }),
                "for" | "every" => reference("Duration"),
                "how" => reference("Cut"),
                "copies" | "bytes" | "pieces" => count(),
                "closes" | "announced" => flag(),
                _ => text(),
            };
        }
        object(&required, properties)
    });
    json!({ "anyOf": each.collect::<Vec<_>>() })
}

pub(super) fn cut() -> Value {
    let close = json!({
        "type": { "enum": ["close"] },
        "code": {
            "type": "integer",
            "minimum": 1000,
            "maximum": 4999,
            "description": "1000 if not given; 1000-1003, 1007-1014 or 3000-4999",
        },
        "reason": { "type": "string", "description": "at most 123 bytes" },
    });
    json!({ "anyOf": [
        object(&["type"], json!({ "type": { "enum": ["rst", "fin"] } })),
        object(&["type"], json!({
            "type": { "enum": ["blackhole"] },
            "direction": { "enum": ["both", "toBot", "fromBot"] },
        })),
        object(&["type"], close),
    ] })
}
