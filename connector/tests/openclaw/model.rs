//! A model for the gateway: OpenAI-compatible, on loopback, and with an end: a gateway that asks for ever must
//! not run for ever.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};

/// Calls that are answered in all.
const CALLS: usize = 300;
/// What is between two pieces of a slow answer: the pace of a real model, and nothing that a test waits for.
const PACE: Duration = Duration::from_millis(100);
/// Pieces of a slow answer.
pub(crate) const PIECES: usize = 60;

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The last thing that the person said.
    pub(crate) text: String,
    /// Pictures in all of it.
    pub(crate) pictures: usize,
    /// Messages of the person.
    pub(crate) turns: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model(Arc<Mutex<Vec<Asked>>>);

impl Model {
    /// Starts it; gives its base URL, too.
    pub(crate) async fn start() -> (Self, String) {
        let model = Self::default();
        let routes = axum::Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(async || Json(json!({ "data": [{ "id": "echo-1" }] }))))
            .with_state(model.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (model, url)
    }

    /// All questions so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }
}

fn words(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => {
            let parts = parts.as_array().into_iter().flatten();
            parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
    }
}

/// Reads a question. The gateway adds messages of its own behind the person's, and a block of context before
/// the person's words.
fn read(body: &Value) -> Asked {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let users: Vec<_> = messages.iter().filter(|m| m["role"] == "user").collect();
    let mut theirs = users.iter().map(|m| words(&m["content"]));
    let said = theirs.rfind(|text| !text.contains("INTERNAL_CONTEXT")).unwrap_or_default();
    let text = said.rsplit("```").next().unwrap_or_default().trim().to_owned();
    let parts = users.iter().flat_map(|m| m["content"].as_array().into_iter().flatten());
    let pictures = parts.filter(|part| part["type"] == "image_url").count();
    Asked { text: if text.is_empty() { said } else { text }, pictures, turns: users.len() }
}

/// `SEND PATH` gives a file, `SLOW` many pieces, anything else comes back.
fn answer(asked: &Asked) -> (Vec<String>, Duration) {
    let at_once = |text: String| (vec![text], Duration::ZERO);
    if let Some((_, path)) = asked.text.split_once("SEND ") {
        return at_once(format!("here it is\nMEDIA:{}", path.trim()));
    }
    if asked.text.contains("SLOW") {
        return ((0..PIECES).map(|n| format!("word{n} ")).collect(), PACE);
    }
    at_once(format!("You said ({} pictures): {}", asked.pictures, asked.text))
}

async fn complete(State(Model(calls)): State<Model>, body: Bytes) -> Response {
    let asked = read(&serde_json::from_slice(&body).unwrap_or_default());
    let (pieces, pace) = answer(&asked);
    let count = {
        let mut calls = calls.lock().unwrap();
        calls.push(asked);
        calls.len()
    };
    if count > CALLS {
        return (StatusCode::TOO_MANY_REQUESTS, "this model has answered enough").into_response();
    }
    let chunk = |delta: Value, end: Value| {
        json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "echo-1",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": end }],
        })
    };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    events.extend(pieces.iter().map(|piece| chunk(json!({ "content": piece }), Value::Null)));
    let mut last = chunk(json!({}), "stop".into());
    last["usage"] = json!({ "prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18 });
    events.push(last);
    let mut lines: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    lines.push("data: [DONE]\n\n".to_owned());
    let lines = stream::unfold(lines.into_iter(), move |mut lines| async move {
        let line = lines.next()?;
        tokio::time::sleep(pace).await;
        Some((Ok::<_, Infallible>(line), lines))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(lines)).into_response()
}
