//! `GET /_mock/env`: how to plug a bot in, in the words of whoever reads it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::{fields::Query, refusal::Refusal};
use crate::{
    core::{BaseUrl, VerbError, quoted},
    hub::Hub,
    plug::{Sdk, Variable, Variables},
    server::Arrival,
};

/// How the variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `export NAME='value'`, for `eval`.
    Shell,
    /// An object, without the notes.
    Json,
    /// `NAME=value`.
    Dotenv,
    /// The `environment` of a service in a compose file.
    Compose,
}

const SDKS: [(&str, Sdk); 6] = [
    ("python", Sdk::Python),
    ("node", Sdk::Node),
    ("go", Sdk::Go),
    ("java", Sdk::Java),
    ("connector", Sdk::Connector),
    ("all", Sdk::All),
];
const FORMATS: [(&str, Format); 4] = [
    ("shell", Format::Shell),
    ("dotenv", Format::Dotenv),
    ("json", Format::Json),
    ("compose", Format::Compose),
];

/// What `text` means, or which words there are.
fn word<T: Copy>(
    field: &'static str,
    text: &str,
    words: &'static [(&'static str, T)],
) -> Result<T, VerbError> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        VerbError::invalid(field, quoted(text), format!("one of {}", names.join(", ")))
    })
}

/// `GET /_mock/env?sdk=&clientId=&format=`. The URLs follow the `Host` of this call: whoever asks
/// reaches the mock by it. The files are on the mock's machine.
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let sdk = word("sdk", query.string("sdk").as_deref().unwrap_or("all"), &SDKS)?;
    let format = word("format", query.string("format").as_deref().unwrap_or("json"), &FORMATS)?;
    let client_id = query.string("clientId");
    query.finish()?;
    let client_id = client_id.ok_or_else(|| {
        VerbError::invalid("clientId", "missing", "the clientId of an app of this mock")
    })?;
    let info = hub.look(|fleet| fleet.app(&client_id).map(crate::core::App::info))?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let public = hub.settings.public_url.as_deref();
    let base = BaseUrl::choose(host, public, &arrival.local.to_string());
    let plug = &hub.settings.plug;
    let variables = plug
        .variables(sdk, base.http(), &info)
        .map_err(|error| Refusal::broken(&error.to_string()))?;
    Ok(write(format, variables))
}

fn write(format: Format, Variables { variables, notes }: Variables) -> Response {
    let lines = |head: &str, line: fn(&Variable) -> String| {
        let notes: String = notes.iter().flat_map(|note| ["# ", note, "\n"]).collect();
        let lines: String = variables.iter().map(line).collect();
        let kind = [(header::CONTENT_TYPE, "text/plain;charset=utf-8")];
        (kind, format!("{notes}{head}{lines}")).into_response()
    };
    match format {
        Format::Json => {
            let object: Map<String, Value> = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            Json(Value::Object(object)).into_response()
        }
        Format::Shell => {
            lines("", |(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
        }
        Format::Dotenv => lines("", |(name, value)| format!("{name}={}\n", dotenv_value(value))),
        // JSON's strings are YAML's; compose takes `$$` for a `$`.
        Format::Compose => lines("environment:\n", |(name, value)| {
            format!("  {name}: {}\n", Value::from(value.replace('$', "$$")))
        }),
    }
}

/// Plain where every reader of such files agrees, in quotation marks elsewhere.
fn dotenv_value(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/,".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    let mut quoted = String::from('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
