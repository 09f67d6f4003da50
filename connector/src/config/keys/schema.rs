//! The table of keys as JSON Schema (draft 2020-12).

use serde_json::{Map, Value, json};

use super::{Key, Kind, Names, SECTION, Table};

/// The schema of the section `channels.ddingtalk`.
pub fn section() -> Value {
    let mut schema = object(SECTION, &[]);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "channels.ddingtalk".into();
    schema["description"] =
        "A DingTalk robot, or several, and who may talk to them. Keys that are not \
                             listed are ignored with a warning."
            .into();
    schema
}

fn object(table: Table, needed: &[&str]) -> Value {
    let properties: Map<_, _> =
        table.iter().copied().flatten().map(|key| (key.name.to_owned(), one(key))).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !needed.is_empty() {
        schema["required"] = json!(needed);
    }
    schema
}

fn one(key: &Key) -> Value {
    let mut schema = match &key.kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Text | Kind::Meant(_) => text(),
        Kind::Secret | Kind::MeantSecret(_) => {
            let mut schema = text();
            schema["writeOnly"] = true.into();
            schema
        }
        Kind::Count => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        Kind::Choice(names) => json!({ "enum": names() }),
        Kind::Ids => {
            let id = json!({ "anyOf": [text(), { "type": "integer", "minimum": 0 }] });
            json!({ "type": "array", "items": id })
        }
        Kind::Hosts => json!({ "type": "array", "items": text() }),
        Kind::Object(table, needed) => object(table, needed),
        Kind::Named(table, names) => {
            let mut schema =
                json!({ "type": "object", "additionalProperties": object(table, &[]) });
            if *names == Names::Accounts {
                schema["propertyNames"] = json!({ "pattern": "^[A-Za-z0-9_-]{1,32}$" });
            }
            schema
        }
        Kind::Theirs => json!({}),
    };
    schema["description"] = key.hint.into();
    if let Some(default) = key.default {
        schema["default"] =
            serde_json::from_str(default).expect("defaults are JSON, as a test says");
    }
    schema
}

/// A text with something in it.
fn text() -> Value {
    json!({ "type": "string", "pattern": "\\S" })
}
