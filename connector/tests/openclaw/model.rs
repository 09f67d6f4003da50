//! A model for the gateway: OpenAI-compatible, on loopback, and with an end: a gateway that asks for ever must
//! not run for ever.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};

/// Calls that are answered in all.
const CALLS: usize = 600;
/// What is between two pieces of a slow answer: the pace of a real model, and nothing that a test waits for.
const PACE: Duration = Duration::from_millis(100);
/// Pieces of a slow answer.
pub(crate) const PIECES: usize = 60;

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The last thing that the person said.
    pub(crate) text: String,
    /// All that the gateway has put into the person's messages, and behind them.
    pub(crate) context: String,
    /// Pictures in all of it.
    pub(crate) pictures: usize,
    /// Messages of the person.
    pub(crate) turns: usize,
    /// When it came.
    pub(crate) at: Instant,
}

/// What the model does about a question.
enum Answer {
    /// Pieces of text, with a pause before each.
    Words(Vec<String>, Duration),
    /// A call of one of OpenClaw's tools, by way of the one that the gateway offers for all of them.
    Tool(&'static str, Value),
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

/// Whether a message is the gateway's own, behind the person's.
fn is_context(message: &Value) -> bool {
    words(&message["content"]).contains("INTERNAL_CONTEXT")
}

/// Reads a question. The gateway adds messages of its own behind the person's, and a block of context before
/// the person's words.
fn read(messages: &[Value]) -> Asked {
    let users: Vec<_> = messages.iter().filter(|m| m["role"] == "user").collect();
    let said = users.iter().rfind(|m| !is_context(m)).map(|m| words(&m["content"]));
    let said = said.unwrap_or_default();
    let text = said.rsplit("```").next().unwrap_or_default().trim().to_owned();
    let parts = users.iter().flat_map(|m| m["content"].as_array().into_iter().flatten());
    let pictures = parts.filter(|part| part["type"] == "image_url").count();
    let text = if text.is_empty() { said } else { text };
    let context = users.iter().map(|m| words(&m["content"])).collect::<Vec<_>>().join("\n");
    Asked { text, context, pictures, turns: users.len(), at: Instant::now() }
}

/// What the tools have said since the person's last message.
fn tools_said(messages: &[Value]) -> Vec<String> {
    let last = messages.iter().rposition(|m| m["role"] == "user" && !is_context(m));
    let since = messages.iter().skip(last.unwrap_or_default());
    since.filter(|m| m["role"] == "tool").map(|m| words(&m["content"])).collect()
}

/// `SEND PATH` gives a file, `SLOW` many pieces; `REMIND TIME WORDS` makes an automation, which comes back as a
/// question with `DUE` in it; `PULSE WORDS` is for the heartbeat; `LOOP` sends messages until one is refused, `ATTACH PATH`
/// one with a file. Anything else comes back.
fn answer(messages: &[Value], asked: &Asked) -> Answer {
    let at_once = |text: String| Answer::Words(vec![text], Duration::ZERO);
    let system = messages.first().map(|m| words(&m["content"])).unwrap_or_default();
    if system.starts_with("You are a context summarization assistant") {
        return at_once(summary(&asked.text));
    }
    let said = tools_said(messages);
    if let Some((at, words)) = asked.text.strip_prefix("REMIND ").and_then(|s| s.split_once(' ')) {
        return match said.last() {
            Some(result) if result.contains("nextRunAtMs") => at_once("I will".to_owned()),
            Some(result) => at_once(format!("I cannot: {result}")),
            None => {
                let payload = json!({ "kind": "agentTurn", "message": format!("DUE {words}") });
                let schedule = json!({ "kind": "at", "at": at });
                let job = json!({ "name": "reminder", "schedule": schedule, "payload": payload });
                Answer::Tool("automations", json!({ "action": "add", "job": job }))
            }
        };
    }
    if let Some((_, words)) = asked.text.split_once("\nDUE ") {
        let words = words.lines().next().unwrap_or_default();
        return at_once(format!("It is time: {words}"));
    }
    if let Some((_, words)) = asked.context.rsplit_once("PULSE ") {
        // It comes in quotes.
        let words = words.split('"').next().unwrap_or_default();
        return at_once(format!("It beats: {words}"));
    }
    if asked.text.starts_with("LOOP") {
        if let Some(refused) = said.last().filter(|said| said.contains("messages a minute")) {
            return at_once(format!("after {} calls: {refused}", said.len()));
        }
        let message = format!("again {}", said.len());
        return Answer::Tool("message", json!({ "action": "send", "message": message }));
    }
    if let Some((_, path)) = asked.text.split_once("ATTACH ") {
        if let Some(result) = said.last() {
            return at_once(format!("the tool says {result}"));
        }
        let args = json!({ "action": "send", "message": "its words", "media": path.trim() });
        return Answer::Tool("message", args);
    }
    if let Some((_, path)) = asked.text.split_once("SEND ") {
        return at_once(format!("here it is\nMEDIA:{}", path.trim()));
    }
    if asked.text.contains("SLOW") {
        return Answer::Words((0..PIECES).map(|n| format!("word{n} ")).collect(), PACE);
    }
    at_once(format!("You said ({} pictures): {}", asked.pictures, asked.text))
}

/// As the gateway wants it: under its headings, and with every identifier of the conversation.
fn summary(prompt: &str) -> String {
    let conversation = prompt.split("</conversation>").next().unwrap_or_default();
    let conversation = conversation.replace("## ", "");
    format!(
        "## Decisions\nNone\n## Open TODOs\nNone\n## Constraints/Rules\nNone\n\
         ## Pending user asks\nNone\n## Exact identifiers\n{conversation}"
    )
}

async fn complete(State(Model(calls)): State<Model>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let asked = read(&messages);
    let answer = answer(&messages, &asked);
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
    let (end, pace) = match answer {
        Answer::Words(pieces, pace) => {
            events
                .extend(pieces.iter().map(|piece| chunk(json!({ "content": piece }), Value::Null)));
            ("stop", pace)
        }
        Answer::Tool(id, args) => {
            let arguments = json!({ "id": id, "args": args }).to_string();
            let function = json!({ "name": "tool_call", "arguments": arguments });
            let id = format!("call_{count}");
            let call = json!({ "index": 0, "id": id, "type": "function", "function": function });
            events.push(chunk(json!({ "tool_calls": [call] }), Value::Null));
            ("tool_calls", Duration::ZERO)
        }
    };
    let mut last = chunk(json!({}), end.into());
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
