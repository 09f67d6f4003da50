//! Strict reading of control calls. Every complaint names the field, its value and what is
//! allowed; a field that nobody reads is a complaint too.

use std::{collections::BTreeMap, time::Duration};

use axum::http::Uri;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::core::{VerbError, quoted};

/// A JSON object whose fields are taken one by one.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    members: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Reads a request's body. Nothing at all is an empty object.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::of(String::new(), Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self::of(String::new(), members)),
            Ok(other) => {
                Err(VerbError::invalid("the body", describe(&other), "a JSON object").into())
            }
            Err(error) => {
                let text = quoted(&String::from_utf8_lossy(body));
                let allowed = format!("a JSON object (this is not JSON: {error})");
                Err(VerbError::invalid("the body", text, allowed).into())
            }
        }
    }

    fn of(path: String, members: Map<String, Value>) -> Self {
        Self { path, members, known: Vec::new() }
    }

    /// An object that stands within the field `path`.
    pub(crate) fn within(path: &str, members: Map<String, Value>) -> Self {
        Self::of(path.to_owned(), members)
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Result<Option<String>, VerbError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &other, "a string")),
        }
    }

    pub(crate) fn required_string(&mut self, name: &'static str) -> Result<String, VerbError> {
        self.string(name)?.ok_or_else(|| self.missing(name, "a string"))
    }

    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<u64>, VerbError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(name, &value, "a whole number, 0 or more")),
            },
        }
    }

    pub(crate) fn bool(&mut self, name: &'static str) -> Result<Option<bool>, VerbError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong(name, &other, "true or false")),
        }
    }

    /// A field whose value is one of a few words.
    pub(crate) fn word<T>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, VerbError>
    where
        T: Clone,
    {
        let Some(value) = self.take(name) else { return Ok(None) };
        let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if let Some((_, meaning)) = found {
            return Ok(Some(meaning.clone()));
        }
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(self.wrong(name, &value, &format!("one of {}", allowed.join(", "))))
    }

    /// A field that is a list of such words.
    pub(crate) fn words<T: Clone>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<Vec<T>>, VerbError> {
        let Some(list) = self.strings(name)? else { return Ok(None) };
        let meant = list.iter().map(|text| {
            let found = words.iter().find(|(word, _)| word == text);
            found.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let allowed = format!("a list of {}", known.join(", "));
                VerbError::invalid(self.full(name), quoted(text), allowed)
            })
        });
        meant.collect::<Result<Vec<T>, _>>().map(Some)
    }

    pub(crate) fn object(&mut self, name: &'static str) -> Result<Option<Self>, VerbError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self::of(self.full(name), members))),
            Some(other) => Err(self.wrong(name, &other, "an object")),
        }
    }

    pub(crate) fn strings(&mut self, name: &'static str) -> Result<Option<Vec<String>>, VerbError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let list = value.as_array().and_then(|items| {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        match list {
            Some(list) => Ok(Some(list)),
            None => Err(self.wrong(name, &value, "an array of strings")),
        }
    }

    pub(crate) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, VerbError> {
        match self.string(name)? {
            None => Ok(None),
            Some(text) => match parse_duration(&text) {
                Some(duration) => Ok(Some(duration)),
                None => Err(VerbError::invalid(self.full(name), quoted(&text), DURATION)),
            },
        }
    }

    /// A field of any type, or nothing. Null counts as nothing.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Complains about what nobody took.
    pub(crate) fn finish(self) -> Result<(), VerbError> {
        match self.members.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, value)) => Err(VerbError::invalid(
                self.full(name),
                describe(value),
                format!("only these fields: {}", self.known.join(", ")),
            )),
        }
    }

    pub(crate) fn missing(&self, name: &str, allowed: &str) -> VerbError {
        VerbError::invalid(self.full(name), "missing", allowed)
    }

    pub(crate) fn wrong(&self, name: &str, value: &Value, allowed: &str) -> VerbError {
        VerbError::invalid(self.full(name), describe(value), allowed)
    }

    fn full(&self, name: &str) -> String {
        let name = quoted(name);
        let name = name.trim_matches('"');
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The query of a control call.
#[derive(Debug)]
pub(crate) struct Query {
    members: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let members = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { members, known: Vec::new() }
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.members.remove(name)
    }

    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<u64>, VerbError> {
        let Some(text) = self.string(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(VerbError::invalid(name, quoted(&text), "a whole number, 0 or more")),
        }
    }

    pub(crate) fn finish(mut self) -> Result<(), VerbError> {
        // The event stream of a browser can carry its token only here.
        self.members.remove(super::guard::TOKEN_PARAMETER);
        match self.members.first_key_value() {
            None => Ok(()),
            Some((name, value)) => Err(VerbError::invalid(
                quoted(name).trim_matches('"'),
                quoted(value),
                format!("only these parameters: {}", self.known.join(", ")),
            )),
        }
    }
}

const DURATION: &str = "a duration such as \"90s\", \"2h1s\", \"1m30s\" or \"250ms\"";

/// Reads `2h1s`, `250ms`, `1d`. A bare number is refused: it would need guessing.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3_600)?),
            "d" => Duration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    (total <= MAX_DURATION).then_some(total)
}

/// Ten years: nothing in DingTalk lives so long, and no sum of times overflows.
const MAX_DURATION: Duration = Duration::from_hours(3_652 * 24);

/// A value for an error message.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fields, parse_duration};

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        let cases = [
            ("2h1s", Some(Duration::from_secs(7201))),
            ("250ms", Some(Duration::from_millis(250))),
            ("1d", Some(Duration::from_hours(24))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("0s", Some(Duration::ZERO)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1y", None),
            ("99999999999999999999s", None),
            ("9999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_field_that_nobody_takes_is_named_with_its_path() {
        let mut fields = Fields::parse(br#"{"a":{"b":1,"c":[2]}}"#).unwrap();
        let mut inner = fields.object("a").unwrap().unwrap();
        assert_eq!(inner.number("b"), Ok(Some(1)));
        let error = inner.finish().unwrap_err().to_string();
        assert_eq!(error, "`a.c` is an array, allowed is only these fields: b");
        assert_eq!(fields.finish(), Ok(()));
    }
}
