//! Whether a fixture is sound in itself.

use serde_json::Value;

use super::Violation;
use crate::fixtures::{Fixture, FixturesError};

/// Checks the content of one fixture; `None` if it is sound. Hostile ones may hold anything.
///
/// Fails only if the file cannot be read.
pub(super) fn check(fixture: &Fixture) -> Result<Option<Violation>, FixturesError> {
    if fixture.is_hostile() || !fixture.is_json() {
        return Ok(None);
    }
    let path = fixture.path();
    let value = match fixture.json() {
        Ok(value) => value,
        Err(FixturesError::NotJson { source, .. }) => {
            let reason = source.to_string();
            return Ok(Some(Violation::NotJson { path: path.to_owned(), reason }));
        }
        Err(unreadable) => return Err(unreadable),
    };
    Ok(match fixture.folder() {
        "stream" => frame(path, &value),
        "openapi" => value.get("msgParam").and_then(|param| embedded(path, "msgParam", param)),
        _ => None,
    })
}

/// Frames of the server have `type` and `data`; answers have `code`, and may leave `data` out or
/// empty, as one official SDK does.
fn frame(path: &str, value: &Value) -> Option<Violation> {
    let missing = |reason: &str| {
        Some(Violation::NotAFrame { path: path.to_owned(), reason: reason.to_owned() })
    };
    let is_answer = value.get("code").is_some();
    if !is_answer && value.get("type").is_none() {
        return missing("it has neither `type` nor `code`");
    }
    match value.get("data") {
        None if is_answer => None,
        None => missing("it has a `type` and no `data`"),
        Some(Value::String(empty)) if is_answer && empty.is_empty() => None,
        Some(data) => embedded(path, "data", data),
    }
}

/// Checks that `value` is a string that holds JSON.
fn embedded(path: &str, field: &str, value: &Value) -> Option<Violation> {
    let reason = match value.as_str() {
        Some(text) => serde_json::from_str::<serde::de::IgnoredAny>(text).err()?.to_string(),
        None => "it is no string".to_owned(),
    };
    Some(Violation::EmbeddedNotJson { path: path.to_owned(), field: field.to_owned(), reason })
}
