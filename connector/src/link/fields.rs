//! Reads JSON objects that other programs write: whatever is wrong is named, with what would be right.

use serde_json::{Map, Value};

/// A field that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; give {allowed}")]
pub(super) struct BadField {
    /// Its path, such as `media[0].path`; `body` for the whole.
    pub(super) field: String,
    /// What it is, in at most [`QUOTED`] characters.
    pub(super) value: String,
    /// What would be taken.
    pub(super) allowed: String,
}

/// How much of a value is quoted, in characters.
const QUOTED: usize = 80;

impl BadField {
    pub(super) fn new(field: &str, value: Option<&Value>, allowed: impl Into<String>) -> Self {
        let value = value.map_or_else(|| "missing".to_owned(), |value| excerpt(&value.to_string()));
        Self { field: field.to_owned(), value, allowed: allowed.into() }
    }
}

fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The fields of one object. They are taken one by one; what nobody took is wrong.
#[derive(Debug)]
pub(super) struct Fields {
    prefix: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// A whole body. Its `v`, if there is one, must be 1.
    pub(super) fn body(body: &[u8]) -> Result<Self, BadField> {
        const ALLOWED: &str = "one JSON object";
        let value: Value = serde_json::from_slice(body).map_err(|e| BadField {
            field: "body".to_owned(),
            value: excerpt(&format!("no JSON ({e})")),
            allowed: ALLOWED.to_owned(),
        })?;
        let Value::Object(map) = value else {
            return Err(BadField::new("body", Some(&value), ALLOWED));
        };
        let mut fields = Self { prefix: String::new(), map, known: Vec::new() };
        match fields.take("v") {
            Some(version) if version != 1 => Err(BadField::new("v", Some(&version), "1")),
            _ => Ok(fields),
        }
    }

    /// An object within.
    pub(super) fn of(value: Value, name: &str) -> Result<Self, BadField> {
        match value {
            Value::Object(map) => Ok(Self { prefix: format!("{name}."), map, known: Vec::new() }),
            other => Err(BadField::new(name, Some(&other), "an object")),
        }
    }

    /// How a field is called in an error.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A value, if it is there; `null` counts as absent.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty, if it is there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, BadField> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            Some(other) => Err(BadField::new(&self.path(name), Some(&other), "a text, not empty")),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, name: &'static str) -> Result<String, BadField> {
        let text = self.text(name)?;
        text.ok_or_else(|| BadField::new(&self.path(name), None, "a text, not empty"))
    }

    /// A number from 1 to 2^53, which every language can count, if it is there.
    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, BadField> {
        const MOST: u64 = 1 << 53;
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number @ 1..=MOST) => Ok(Some(number)),
                _ => Err(BadField::new(&self.path(name), Some(&value), "a whole number from 1 on")),
            },
        }
    }

    /// Nothing else may be there.
    pub(super) fn end(self) -> Result<(), BadField> {
        match self.map.iter().next() {
            None => Ok(()),
            Some((name, value)) => {
                let allowed = format!("only {}", self.known.join(", "));
                Err(BadField::new(&excerpt(&self.path(name)), Some(value), allowed))
            }
        }
    }
}
