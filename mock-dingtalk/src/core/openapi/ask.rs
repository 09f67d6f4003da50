//! A call as its handler reads it.

use serde_json::{Map, Value};

use super::{Form, answer::Reply};
use crate::core::{http::HttpCall, journal::Diagnosis};

/// A call whose route and app are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) call: &'a HttpCall,
    pub(super) json: Option<&'a Value>,
    pub(super) form: Option<&'a Form>,
    /// The segments that `{}` of the route stood for, decoded.
    pub(super) params: &'a [String],
}

impl<'a> Ask<'a> {
    /// The body, or `code` if it is no JSON object.
    pub(super) fn object(&self, code: &str, see: &'static str) -> Result<Fields<'a>, Reply> {
        match self.json {
            Some(Value::Object(members)) => Ok(Fields(members)),
            _ => Err(refuse(code, "the body is not a JSON object", "a JSON object", see)),
        }
    }
}

/// The members of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// A string, or nothing where there is none.
    pub(super) fn text(self, name: &str) -> &'a str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A string that must be there, or `code`.
    pub(super) fn required(
        self,
        name: &str,
        code: &str,
        see: &'static str,
    ) -> Result<&'a str, Reply> {
        match self.text(name) {
            "" => Err(refuse(code, format!("{name} is missing or empty"), "a string", see)),
            text => Ok(text),
        }
    }

    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

/// A 400 of api.dingtalk.com whose message repeats the code, as it does where it was seen
/// (hanfangyuan4396/dify-on-dingtalk#2).
pub(super) fn refuse(
    code: &str,
    problem: impl Into<String>,
    expected: impl Into<String>,
    see: &'static str,
) -> Reply {
    Reply::error(400, code, code).diagnosed(Diagnosis::new(problem, expected, see))
}
