//! The control API as OpenAPI 3.1, written from the catalogue.

use serde_json::{Map, Value, json};

use super::catalogue::{
    self, Body, Call, Content, Parameter, Takes, Twin, Verb,
    schema::{self, reference},
};

/// The document that `GET /_mock/openapi.json` answers with.
pub(crate) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for call in catalogue::calls() {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        path[call.method.to_ascii_lowercase()] = operation(call);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Control API of mock-dingtalk",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Input is read strictly: an unknown field or parameter is a 400 that \
                            names it. Null counts as not given. Off loopback, and where a token \
                            was chosen, calls bring it.",
        },
        "paths": paths,
        "components": {
            "schemas": schema::components(),
            "securitySchemes": {
                "adminToken": { "type": "http", "scheme": "bearer" },
                "adminTokenParameter": { "type": "apiKey", "in": "query", "name": "admin_token" },
            },
        },
        "security": [{}, { "adminToken": [] }, { "adminTokenParameter": [] }],
    })
}

fn operation(call: &Call) -> Value {
    let in_path = path_parameters(call.path).map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let parameters: Vec<Value> = in_path.chain(call.query.iter().map(in_query)).collect();
    let mut operation = json!({
        "operationId": call.id,
        "summary": call.summary,
        "responses": responses(call),
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    match call.body {
        Body::Nothing => {}
        Body::Json(schema, examples) => {
            let examples: Map<String, Value> = examples
                .iter()
                .enumerate()
                .filter_map(|(index, text)| {
                    let value: Value = serde_json::from_str(text).ok()?;
                    Some((format!("example{}", index + 1), json!({ "value": value })))
                })
                .collect();
            operation["requestBody"] = json!({
                "content": { "application/json": { "schema": schema(), "examples": examples } },
            });
        }
        Body::Bytes => {
            operation["requestBody"] = json!({ "content": { "application/octet-stream": {} } });
        }
    }
    match call.twin {
        Twin::Methods(methods) => operation["x-library"] = methods.into(),
        Twin::None(why) => operation["x-not-in-library"] = why.into(),
    }
    match call.verb {
        Verb::Words(verb) => operation["x-cli"] = verb.into(),
        Verb::None(why) => operation["x-not-in-cli"] = why.into(),
    }
    if call.open {
        operation["security"] = json!([]);
    }
    operation
}

/// The names in braces.
pub(super) fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn in_query(parameter: &Parameter) -> Value {
    let schema = match parameter.takes {
        Takes::Text => json!({ "type": "string" }),
        Takes::Number(u64::MAX) => json!({ "type": "integer", "minimum": 0 }),
        Takes::Number(most) => json!({ "type": "integer", "minimum": 0, "maximum": most }),
        Takes::Words(words) => json!({ "enum": words }),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": schema,
    })
}

fn responses(call: &Call) -> Value {
    let (status, content) = call.answer;
    let done = match content {
        Content::Nothing => json!({ "description": "done" }),
        Content::Json => json!({ "description": "done", "content": { "application/json": {} } }),
        Content::Of(name) => json!({
            "description": "done",
            "content": { "application/json": { "schema": reference(name) } },
        }),
        Content::Other(kind) => json!({ "description": "done", "content": { kind: {} } }),
    };
    let error = |about: &str| {
        json!({
            "description": about,
            "content": { "application/json": { "schema": reference("Error") } },
        })
    };
    let mut responses = json!({ status.to_string(): done });
    responses["400"] = error("a wrong field or parameter: which, what it was, what it may be");
    if !call.open {
        responses["401"] = error("the admin token is missing or wrong");
        responses["403"] = error("the call comes from a page of another origin");
    }
    if call.path.contains('{') {
        responses["404"] = error("there is no such thing");
    }
    if matches!(call.body, Body::Json(..)) {
        responses["409"] = error("it exists already, or there are too many");
    }
    if !matches!(call.body, Body::Nothing) {
        responses["413"] = error("the body is too large");
    }
    responses
}
