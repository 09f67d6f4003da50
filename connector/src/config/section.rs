//! Reading settings with their paths, so that an error says where and what would do.

use std::cell::RefCell;
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::{ConfigError, keys};
use crate::openapi::bare_host;

/// Characters of a wrong value that are shown.
const SHOWN: usize = 60;

/// Where sections come from.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    /// What is odd, one sentence each.
    pub(super) warnings: RefCell<Vec<String>>,
    /// Texts that no error may show.
    pub(super) hidden: Vec<String>,
    /// Variables that are named in it, and are not set.
    pub(super) missing: Vec<String>,
    /// Whether its apps win over the environment's.
    pub(super) file_first: bool,
}

impl Source<'_> {
    pub(super) fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        // What accounts have in common is read for each of them.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

/// One object of the file.
pub(super) struct Section<'a> {
    pub(super) source: &'a Source<'a>,
    /// `channels.ddingtalk` and so on.
    pub(super) path: String,
    pub(super) map: &'a Map<String, Value>,
    /// Where the rest of `map` stands, if not all of it is this object's own, and what is.
    pub(super) inherited: Option<(&'a str, &'a Map<String, Value>)>,
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        let name = key.split('[').next().unwrap_or(key);
        let path = match self.inherited {
            Some((elsewhere, own)) if self.map.contains_key(name) && !own.contains_key(name) => {
                elsewhere
            }
            _ => &self.path,
        };
        format!("{path}.{key}")
    }

    /// A value that will not do.
    pub(super) fn wrong(&self, key: &str, value: &Value, allowed: &str) -> ConfigError {
        let is_hidden = |text: &str| self.source.hidden.iter().any(|hidden| text.contains(hidden));
        let value = match value {
            _ if keys::is_secret(key) => "***".to_owned(),
            // What stands in it may be meant for another place.
            Value::Object(_) | Value::Array(_) => kind(value).to_owned(),
            Value::String(text) if is_hidden(text) => "***".to_owned(),
            value => value.to_string().chars().take(SHOWN).collect(),
        };
        self.refuse(key, value, allowed)
    }

    /// As [`wrong`](Self::wrong), where not even a short value is to be shown.
    fn wrong_kind(&self, key: &str, value: &Value, allowed: &str) -> ConfigError {
        self.refuse(key, kind(value).to_owned(), allowed)
    }

    /// A value that is needed.
    pub(super) fn missing(&self, key: &str) -> ConfigError {
        ConfigError::MissingSetting { path: self.path_of(key), file: self.source.file.to_owned() }
    }

    pub(super) fn refuse(&self, key: &str, value: String, allowed: &str) -> ConfigError {
        ConfigError::Setting {
            path: self.path_of(key),
            file: self.source.file.to_owned(),
            value,
            allowed: allowed.to_owned(),
        }
    }

    /// Warns of keys that are not in the table.
    pub(super) fn expect_keys(&self, table: keys::Table) {
        for key in self.map.keys().filter(|key| keys::find(table, key).is_none()) {
            let advice = match keys::nearest(table, key) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => "it is ignored".to_owned(),
            };
            let (path, file) = (self.path_of(key), self.source.file.display());
            self.source.warn(format!("{path} in {file} is not known; {advice}"));
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
            Some(value) => Err(self.wrong(key, value, "a text in quotes")),
        }
    }

    /// A text that means something.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        meaning: &keys::Meaning<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let parsed = value.as_str().and_then(|text| (meaning.parse)(text.trim()));
        parsed.map(Some).ok_or_else(|| self.wrong(key, value, meaning.allowed))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(value) => Err(self.wrong(key, value, "true or false")),
        }
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64().and_then(|count| u32::try_from(count).ok()) {
            Some(count) if count > 0 => Ok(Some(count)),
            _ => Err(self.wrong(key, value, "a whole number of at least 1")),
        }
    }

    pub(super) fn choice<T: ValueEnum>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if let Some(Ok(choice)) = value.as_str().map(|text| T::from_str(text, false)) {
            return Ok(Some(choice));
        }
        let choices = T::value_variants().iter().filter_map(T::to_possible_value);
        let names: Vec<_> = choices.map(|choice| choice.get_name().to_owned()).collect();
        Err(self.wrong(key, value, &format!("one of {}", names.join(", "))))
    }

    /// A list of ids; numbers stand for their digits.
    pub(super) fn ids(&self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Some(items) = value.as_array() else {
            return Err(self.wrong(key, value, "a list of ids in quotes, such as [\"user01\"]"));
        };
        let id = |(n, item): (usize, &Value)| match item {
            Value::String(text) if !text.trim().is_empty() => Ok(text.clone()),
            Value::Number(number) if number.is_u64() => Ok(number.to_string()),
            // An empty one would make a list of nobody an empty list.
            item => {
                Err(self.wrong(&format!("{key}[{n}]"), item, "an id in quotes, such as \"user01\""))
            }
        };
        items.iter().enumerate().map(id).collect::<Result<_, _>>().map(Some)
    }

    /// A list of hosts, as URLs have them.
    pub(super) fn hosts(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let wrong = || self.wrong(key, value, keys::HOSTS);
        let host = |host: &Value| host.as_str().and_then(bare_host).ok_or_else(wrong);
        value.as_array().ok_or_else(wrong)?.iter().map(host).collect()
    }

    pub(super) fn section(&self, key: &str) -> Result<Option<Section<'a>>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(self.at(self.path_of(key), map))),
            Some(value) => Err(self.wrong_kind(key, value, "an object { … }")),
        }
    }

    /// The objects of an object, by name.
    pub(super) fn sections(&self, key: &str) -> Result<Vec<(&'a str, Section<'a>)>, ConfigError> {
        let Some(whole) = self.section(key)? else { return Ok(Vec::new()) };
        let one = |name: &'a String| {
            let section = whole.section(name)?;
            Ok(section.map(|section| (name.as_str(), section)))
        };
        whole.map.keys().filter_map(|name| one(name).transpose()).collect()
    }

    /// Another object of the same file.
    pub(super) fn at(&self, path: String, map: &'a Map<String, Value>) -> Section<'a> {
        Section { source: self.source, path, map, inherited: None }
    }
}

/// What a value is, without showing it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
