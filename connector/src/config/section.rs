//! Reading settings with their paths, so that an error says where and what would do.

use std::cell::RefCell;
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::ConfigError;

/// Characters of a wrong value that are shown.
const SHOWN: usize = 60;
/// Letters by which an unknown key may differ from the one that was meant.
const MISSPELLED: usize = 2;

/// One object of the file.
pub(super) struct Section<'a> {
    pub(super) file: &'a Path,
    /// `channels.ddingtalk` and so on.
    pub(super) path: String,
    pub(super) map: &'a Map<String, Value>,
    pub(super) warnings: &'a RefCell<Vec<String>>,
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// A value that will not do.
    pub(super) fn wrong(&self, key: &str, value: &Value, allowed: &str) -> ConfigError {
        let value = match value {
            _ if key == "clientSecret" => "***".to_owned(),
            value => value.to_string().chars().take(SHOWN).collect(),
        };
        ConfigError::Setting {
            path: self.path_of(key),
            file: self.file.to_owned(),
            value,
            allowed: allowed.to_owned(),
        }
    }

    /// Warns of keys that are neither `ours` nor `theirs`, who share the file.
    pub(super) fn expect_keys(&self, ours: &[&str], theirs: &[&str]) {
        for key in self.map.keys() {
            if ours.contains(&key.as_str()) || theirs.contains(&key.as_str()) {
                continue;
            }
            let distance = |known: &&&str| {
                strsim::damerau_levenshtein(&known.to_lowercase(), &key.to_lowercase())
            };
            let nearest =
                ours.iter().min_by_key(distance).filter(|known| distance(known) <= MISSPELLED);
            let advice = match nearest {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => "it is ignored".to_owned(),
            };
            let (path, file) = (self.path_of(key), self.file.display());
            self.warnings.borrow_mut().push(format!("{path} in {file} is not known; {advice}"));
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
            Some(value) => Err(self.wrong(key, value, "a text in quotes")),
        }
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
        let id = |item: &Value| match item {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        };
        let ids = value.as_array().and_then(|items| items.iter().map(id).collect());
        ids.map(Some)
            .ok_or_else(|| self.wrong(key, value, "a list of ids in quotes, such as [\"user01\"]"))
    }

    pub(super) fn section(&self, key: &str) -> Result<Option<Section<'a>>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(self.at(self.path_of(key), map))),
            Some(value) => Err(self.wrong(key, value, "an object { … }")),
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
    pub(super) fn at<'b>(&self, path: String, map: &'b Map<String, Value>) -> Section<'b>
    where
        'a: 'b,
    {
        Section { file: self.file, path, map, warnings: self.warnings }
    }
}
