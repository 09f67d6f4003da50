//! How to plug a bot in: the variables that make an SDK find the mock.

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
    core::{AppInfo, BaseUrl, VerbError, quoted},
    hub::Hub,
    server::Arrival,
};

/// Whom the variables are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// The official Python SDK: `DINGTALK_OPENAPI_ENDPOINT`, read when it is imported.
    Python,
    /// `ddingtalk`.
    Connector,
    /// Every variable there is.
    All,
}

/// How they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `export NAME='value'`, for `eval`.
    Shell,
    /// An object.
    Json,
    /// `NAME=value`.
    Dotenv,
}

impl Sdk {
    fn parse(text: &str) -> Result<Self, VerbError> {
        match text {
            "python" => Ok(Self::Python),
            "connector" => Ok(Self::Connector),
            "all" => Ok(Self::All),
            other => Err(VerbError::invalid(
                "sdk",
                quoted(other),
                "one of python, connector, all (an SDK with DingTalk's hosts built in cannot be \
                 led here by variables alone)",
            )),
        }
    }
}

impl Format {
    fn parse(text: &str) -> Result<Self, VerbError> {
        match text {
            "shell" => Ok(Self::Shell),
            "json" => Ok(Self::Json),
            "dotenv" => Ok(Self::Dotenv),
            other => {
                let allowed = "one of shell, json, dotenv";
                Err(VerbError::invalid("format", quoted(other), allowed))
            }
        }
    }
}

/// `GET /_mock/env?sdk=&clientId=&format=`. The URLs follow the `Host` of this call: whoever asks
/// reaches the mock by it.
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut query = Query::of(&uri);
    let sdk = Sdk::parse(query.string("sdk").as_deref().unwrap_or("all"))?;
    let format = Format::parse(query.string("format").as_deref().unwrap_or("json"))?;
    let client_id = query.string("clientId");
    query.finish()?;
    let client_id = client_id.ok_or_else(|| {
        VerbError::invalid("clientId", "missing", "the clientId of an app of this mock")
    })?;
    let info = hub.look(|fleet| fleet.app(&client_id).map(crate::core::App::info))?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let public = hub.settings.public_url.as_deref();
    let base = BaseUrl::choose(host, public, &arrival.local.to_string());
    let variables = variables(sdk, base.http(), &info);
    Ok(match format {
        Format::Json => {
            let object: Map<String, Value> = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            Json(Value::Object(object)).into_response()
        }
        Format::Shell => write_lines(&variables, |name, value| {
            format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
        }),
        Format::Dotenv => {
            write_lines(&variables, |name, value| format!("{name}={}\n", dotenv_value(value)))
        }
    })
}

fn write_lines(
    variables: &[(&'static str, String)],
    line: impl Fn(&str, &str) -> String,
) -> Response {
    let text: String = variables.iter().map(|(name, value)| line(name, value)).collect();
    ([(header::CONTENT_TYPE, "text/plain;charset=utf-8")], text).into_response()
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

/// The variables, in the order they are printed.
pub(crate) fn variables(sdk: Sdk, url: &str, app: &AppInfo) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("DINGTALK_CLIENT_ID", app.client_id.clone()),
        ("DINGTALK_CLIENT_SECRET", app.client_secret.clone()),
        ("DINGTALK_OPENAPI_ENDPOINT", url.to_owned()),
    ];
    if sdk != Sdk::Python {
        variables.push(("DINGTALK_OAPI_ENDPOINT", url.to_owned()));
    }
    // The Python SDK's libraries obey proxy variables even for loopback.
    let host = url.split("://").nth(1).unwrap_or(url);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let mut direct = "127.0.0.1,localhost".to_owned();
    if !["127.0.0.1", "localhost"].contains(&host) {
        direct = format!("{direct},{host}");
    }
    variables.push(("NO_PROXY", direct.clone()));
    variables.push(("no_proxy", direct));
    variables.push(("MOCK_DINGTALK_URL", url.to_owned()));
    variables
}
