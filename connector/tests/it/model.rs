//! A model that plays a script: an OpenAI-compatible endpoint on loopback.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::{Running, World, eventually};

/// What it answers a question with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These pieces, and the end.
    Words(Vec<String>),
    /// These pieces, and then nothing for as long as somebody listens.
    Hold(Vec<String>),
    /// Not even a status, for as long as somebody listens.
    Never,
    /// Comments, for as long as somebody listens.
    Trickle,
    /// These pieces of an event stream.
    Bytes(Vec<Vec<u8>>),
    /// It is elsewhere.
    Redirect(String),
    /// What a [`Lead`] says, as it says it.
    Led(Arc<Mutex<Option<mpsc::UnboundedReceiver<String>>>>),
    /// These bytes, of this type.
    Raw(&'static str, String),
    /// A failure, with `Retry-After` if that is given.
    Refuse(u16, Option<&'static str>, String),
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

impl Asked {
    /// Role and words of each message.
    pub(crate) fn messages(&self) -> Vec<(String, String)> {
        let text = |content: &Value| match content {
            Value::String(text) => text.clone(),
            parts => parts[0]["text"].as_str().unwrap().to_owned(),
        };
        let messages = self.body["messages"].as_array().unwrap();
        let role = |m: &Value| m["role"].as_str().unwrap().to_owned();
        messages.iter().map(|m| (role(m), text(&m["content"]))).collect()
    }

    /// The same, in few letters: `u:hello a:answer 1`.
    pub(crate) fn talk(&self) -> String {
        let short = |(role, words): (String, String)| format!("{}:{words}", &role[..1]);
        self.messages().into_iter().map(short).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Debug, Default)]
struct Stage {
    script: VecDeque<Reply>,
    asked: Vec<Asked>,
    models: Option<Vec<&'static str>>,
    /// Without a script it repeats each question in four pieces, with such pauses between them.
    slow: Option<Duration>,
    /// Answers whose listener has left before their end.
    left: usize,
}

/// The endpoint; gone when dropped.
pub(crate) struct Model {
    url: String,
    stage: Arc<Mutex<Stage>>,
    server: JoinHandle<()>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Model {
    /// Without a script it answers `answer 1`, `answer 2`, and so on.
    pub(crate) async fn start() -> Self {
        let stage = Arc::new(Mutex::new(Stage::default()));
        stage.lock().unwrap().models = Some(vec!["small", "Large-2", "tiny"]);
        let routes = axum::Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(models))
            .with_state(Arc::clone(&stage));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, stage, server }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Plays this next.
    pub(crate) fn next(&self, reply: Reply) {
        self.stage.lock().unwrap().script.push_back(reply);
    }

    pub(crate) fn words(&self, words: &[&str]) {
        self.next(Reply::Words(words.iter().map(|&w| w.to_owned()).collect()));
    }

    pub(crate) fn hold(&self, words: &[&str]) {
        self.next(Reply::Hold(words.iter().map(|&w| w.to_owned()).collect()));
    }

    /// The next answer is said by whoever has the result.
    pub(crate) fn lead(&self) -> Lead {
        let (lead, said) = mpsc::unbounded_channel();
        self.next(Reply::Led(Arc::new(Mutex::new(Some(said)))));
        Lead(lead)
    }

    /// Without a script it repeats each question as [`slow_answer`] from now on, with such pauses between
    /// four pieces.
    pub(crate) fn slow_down(&self, pause: Duration) {
        self.stage.lock().unwrap().slow = Some(pause);
    }

    /// It does not list its models any more.
    pub(crate) fn hide_models(&self) {
        self.stage.lock().unwrap().models = None;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.stage.lock().unwrap().asked.clone()
    }

    /// Waits until so many questions have come.
    pub(crate) async fn wait_asked(&self, count: usize) -> Vec<Asked> {
        let what = || format!("{count} questions; there are {:?}", self.asked());
        eventually(what, || Some(self.asked()).filter(|asked| asked.len() >= count)).await
    }

    /// Waits until so many listeners have left before the end.
    pub(crate) async fn wait_left(&self, count: usize) {
        let left = || self.stage.lock().unwrap().left;
        eventually(|| format!("{count} that left"), || (left() >= count).then_some(())).await;
    }

    /// Starts the program with this model; everybody may talk to it.
    pub(crate) async fn start_gateway(&self, world: &World, args: &[&str]) -> Running {
        let open = ["--agent", "openai", "--dm-policy", "open", "--group-policy", "open"];
        let mut command = world.command(&[&open[..], args].concat());
        command
            .env("OPENAI_BASE_URL", self.url())
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_MODEL", "small");
        let running = world.start_command(command);
        world.app.wait_connections(1).await.expect("the connector connects");
        running
    }
}

/// Says an answer, piece by piece.
pub(crate) struct Lead(mpsc::UnboundedSender<String>);

impl Lead {
    pub(crate) fn words(&self, words: &str) {
        self.0.send(piece(words)).unwrap();
    }

    /// That was all.
    pub(crate) fn end(self) {
        self.0.send(ending()).unwrap();
    }

    /// It breaks off.
    pub(crate) fn fail(self) {
        self.0.send("data: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_owned()).unwrap();
    }
}

/// An event that brings words.
fn piece(words: &str) -> String {
    let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": words } }] });
    format!("data: {chunk}\n\n")
}

/// The events behind the last words.
fn ending() -> String {
    let stop = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 10, "completion_tokens": 3 } });
    format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// The key that the program is given.
pub(crate) const KEY: &str = "sk-a-key-that-nobody-may-see";

const EVENT_STREAM: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/event-stream")];

/// Notices that a stream was dropped before its end.
struct Listener(Arc<Mutex<Stage>>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.lock().unwrap().left += 1;
    }
}

async fn complete(
    State(stage): State<Arc<Mutex<Stage>>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned());
    let reply = {
        let mut stage = stage.lock().unwrap();
        stage.asked.push(Asked { authorization, body });
        let answer = format!("answer {}", stage.asked.len());
        let scripted = stage.script.pop_front();
        if let (None, Some(pause)) = (&scripted, stage.slow) {
            let question = stage.asked.last().unwrap().messages().pop().unwrap().1;
            return slowly(&slow_answer(&question), pause);
        }
        scripted.unwrap_or(Reply::Words(vec![answer]))
    };
    let (pieces, held) = match reply {
        Reply::Words(pieces) => (pieces, false),
        Reply::Hold(pieces) => (pieces, true),
        Reply::Never => {
            let _listener = Listener(stage);
            return std::future::pending().await;
        }
        Reply::Trickle => {
            let comments = stream::unfold(Listener(stage), |listener| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some((Ok::<_, Infallible>(Bytes::from(": wait\n\n")), listener))
            });
            return (EVENT_STREAM, Body::from_stream(comments)).into_response();
        }
        Reply::Bytes(pieces) => {
            let pieces = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
            return (EVENT_STREAM, Body::from_stream(stream::iter(pieces))).into_response();
        }
        Reply::Redirect(url) => {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response();
        }
        Reply::Led(said) => {
            let said = said.lock().unwrap().take().expect("an answer is said once");
            let said = stream::unfold(said, async |mut said| {
                let event = said.recv().await?;
                Some((Ok::<_, Infallible>(Bytes::from(event)), said))
            });
            return (EVENT_STREAM, Body::from_stream(said)).into_response();
        }
        Reply::Raw(kind, body) => return ([(header::CONTENT_TYPE, kind)], body).into_response(),
        Reply::Refuse(status, retry_after, body) => {
            let status = StatusCode::from_u16(status).unwrap();
            let after = retry_after.map(|after| [(header::RETRY_AFTER, after)]);
            return (status, after.unwrap_or([(header::RETRY_AFTER, "")]), body).into_response();
        }
    };
    let mut events: Vec<String> = pieces.iter().map(|words| piece(words)).collect();
    if !held {
        events.push(ending());
    }
    let whole = stream::iter(events).map(|event| Ok::<_, Infallible>(Bytes::from(event)));
    let body = if held {
        let listener = Listener(stage);
        let never = stream::once(async move {
            let _listener = listener;
            std::future::pending().await
        });
        Body::from_stream(whole.chain(never))
    } else {
        Body::from_stream(whole)
    };
    (EVENT_STREAM, body).into_response()
}

/// What a slow model says.
pub(crate) fn slow_answer(question: &str) -> String {
    format!("the answer to {question} is long")
}

fn slowly(answer: &str, pause: Duration) -> Response {
    let pieces: Vec<_> = answer.as_bytes().chunks(answer.len().div_ceil(4)).collect();
    let pieces = pieces.iter().map(|words| piece(std::str::from_utf8(words).unwrap()));
    let events: Vec<_> = pieces.chain([ending()]).collect();
    let events = stream::iter(events).then(move |event| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(Bytes::from(event))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

async fn models(State(stage): State<Arc<Mutex<Stage>>>) -> Response {
    match &stage.lock().unwrap().models {
        Some(models) => {
            let model = |id: &&str| json!({ "id": id, "object": "model" });
            let data: Vec<_> = models.iter().map(model).collect();
            Json(json!({ "object": "list", "data": data })).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
