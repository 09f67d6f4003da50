//! JSON Schemas of what control calls take and give. Null counts as not given everywhere.

use serde_json::{Map, Value, json};

use crate::{
    control::{action_json::BAD_FRAMES, fault_json::HAPPENINGS},
    core::{
        MAX_DEPTH, MAX_PARTS, MAX_TCP_TIMES, METHODS, MsgType, PRESETS, Permission, Profile,
        QuoteForm, Sample,
    },
};

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

pub(super) fn message() -> Value {
    json!({ "anyOf": [
        reference("Speech"),
        object(&["fixture"], json!({ "fixture": text() })),
    ] })
}

fn speech() -> Value {
    let mut properties = content();
    properties["from"] = text();
    properties["conversation"] =
        object(&["type"], json!({ "type": { "enum": ["1", "2"] }, "id": text(), "title": text() }));
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

fn media() -> Value {
    let with = |name: &str, schema: Value| {
        let mut properties = json!({ "name": text(), "mimeType": text() });
        properties[name] = schema;
        object(&[name], properties)
    };
    json!({ "anyOf": [with("sample", words(&Sample::NAMES)), with("base64", text())] })
}

fn quote() -> Value {
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

pub(super) fn event() -> Value {
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

pub(super) fn callback() -> Value {
    let known = |topics: [&str; 2], mut properties: Value| {
        properties["topic"] = json!({ "enum": topics });
        object(&["topic"], properties)
    };
    json!({ "anyOf": [
        known(
            ["graph", crate::core::GRAPH_TOPIC],
            json!({ "method": text(), "uri": text(), "body": text() }),
        ),
        known(
            ["dynamicData", crate::core::DYNAMIC_DATA_TOPIC],
            json!({ "outTrackId": text(), "dynamicDataSourceId": text() }),
        ),
        object(&["topic", "data"], json!({ "topic": text(), "data": { "type": "object" } })),
    ] })
}

pub(super) fn press() -> Value {
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

pub(super) fn custom_robot() -> Value {
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

pub(super) fn read() -> Value {
    object(&["userId", "processQueryKey"], json!({ "userId": text(), "processQueryKey": text() }))
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

pub(super) fn disconnect() -> Value {
    object(&[], json!({ "reason": text(), "messageId": flag() }))
}

pub(super) fn raw() -> Value {
    object(&["raw"], json!({ "raw": text() }))
}

pub(super) fn fault() -> Value {
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
pub(super) fn tcp_fault() -> Value {
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

fn when() -> Value {
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

fn times() -> Value {
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

fn action() -> Value {
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
                "closes" => flag(),
                _ => text(),
            };
        }
        object(&required, properties)
    });
    json!({ "anyOf": each.collect::<Vec<_>>() })
}

fn cut() -> Value {
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

/// The schemas that others refer to.
pub(in crate::control) fn components() -> Map<String, Value> {
    let id = |about: &str| json!({ "type": "string", "description": about });
    let duration = json!({
        "type": "string",
        "pattern": "^([0-9]+(ms|s|m|h|d))+$",
        "description": "such as 90s, 2h1s, 1m30s or 250ms; at most ten years",
    });
    // What the mock answers may grow: these are open.
    let app = json!({
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
    });
    let said = json!({
        "type": "object",
        "required": ["msgId", "messageId", "conversationId", "state"],
        "properties": {
            "msgId": id("in the data of robot messages"),
            "messageId": id("in the headers of the frame"),
            "conversationId": text(),
            "state": { "enum": ["pushed", "lost", "queued"] },
        },
    });
    let clock = json!({
        "type": "object",
        "required": ["unixMs", "sinceStartMs", "paused", "scale"],
        "properties": {
            "unixMs": { "type": "integer" },
            "sinceStartMs": count(),
            "paused": flag(),
            "scale": { "type": "number" },
        },
    });
    let removed = json!({
        "type": "object",
        "required": ["removed"],
        "properties": { "removed": count() },
    });
    let snapshot = json!({
        "type": "object",
        "required": ["name", "at", "apps", "bytes"],
        "properties": { "name": text(), "at": count(), "apps": count(), "bytes": count() },
    });
    let error = json!({
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
    });
    [
        ("Action", action()),
        ("App", app),
        ("Clock", clock),
        ("Cut", cut()),
        ("Duration", duration),
        ("Error", error),
        ("Media", media()),
        (
            "Permissions",
            object(
                &["granted", "missing"],
                json!({ "granted": permissions(), "missing": permissions() }),
            ),
        ),
        ("Quote", quote()),
        ("Removed", removed),
        ("Said", said),
        ("Snapshot", snapshot),
        ("Speech", speech()),
        ("Strictness", object(&["lenient"], json!({ "lenient": flag() }))),
        ("Times", times()),
        ("When", when()),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
    .into_iter()
    .collect()
}
