//! The link's HTTP side.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::desk::{Attached, Desk};
use super::event::{Posted, What};
use super::listener::{Listener, Socket};
use super::message;
use super::turns::Judgement;
use crate::agent::{AgentKind, Say, TurnId};
use crate::gateway::push::{PushError, Pusher};
use crate::redact::Secret;
use crate::stream::StreamState;

/// A robot that the link speaks for.
#[derive(Debug)]
pub struct Robot {
    /// Its turns.
    pub desk: Arc<Desk>,
    /// Who answers it. Only `attach` has turns to give away.
    pub agent: AgentKind,
    /// Sends its pushes.
    pub pusher: Arc<Pusher>,
    /// Its connection.
    pub stream: watch::Receiver<StreamState>,
}

/// The running link; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
    file: PathBuf,
}

/// The largest body, in bytes.
const MAX_BODY: usize = 1 << 20;

impl Server {
    /// Serves `robots`, of which there is at least one.
    pub fn start(listener: Listener, robots: Vec<Robot>) -> Self {
        let Listener { socket, file } = listener;
        let routes = Router::new()
            .route("/v1/agent/turns", get(turns))
            .route("/v1/agent/turns/{id}/events", post(events))
            .route("/v1/messages", post(messages))
            .route("/v1/status", get(status))
            .route(
                "/v1/health",
                get(async || answer(StatusCode::OK, json!({ "v": 1, "ok": true }))),
            )
            .fallback(async || no(StatusCode::NOT_FOUND, PATHS))
            .method_not_allowed_fallback(async || no(StatusCode::METHOD_NOT_ALLOWED, PATHS))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::new(robots));
        let task = match socket {
            Socket::Unix(listener) => tokio::spawn(async move {
                // It goes on after errors of single connections, and ends with this task.
                let _ = axum::serve(listener, routes).await;
            }),
            Socket::Tcp { listener, token } => {
                let guarded = routes.layer(middleware::from_fn_with_state(Arc::new(token), bearer));
                tokio::spawn(async move {
                    let _ = axum::serve(listener, guarded).await;
                })
            }
        };
        Self { task, file }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // It may be gone, and one that stays is stale and is replaced.
        let _ = std::fs::remove_file(&self.file);
    }
}

const PATHS: &str = "there is GET /v1/agent/turns, POST /v1/agent/turns/{id}/events, POST /v1/messages, \
                     GET /v1/status, GET /v1/health";

type Robots = State<Arc<Vec<Robot>>>;

/// Lets through whoever has the token.
async fn bearer(State(token): State<Arc<Secret>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if is_same(given.as_bytes(), token.expose().as_bytes()) {
        return next.run(request).await;
    }
    no(
        StatusCode::UNAUTHORIZED,
        "give Authorization: Bearer TOKEN, with the token of agent.json in the state directory",
    )
}

/// Compares in a time that does not tell where the difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |odd, (a, b)| odd | (a ^ b)) == 0
}

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(rename = "clientId")]
    client_id: Option<String>,
}

async fn turns(State(robots): Robots, Query(which): Query<Which>) -> Response {
    let robot = match find(&robots, which.client_id.as_deref()) {
        Ok(robot) => robot,
        Err(refusal) => return refusal,
    };
    if robot.agent != AgentKind::Attach {
        let problem = format!(
            "the agent of this robot is {}; start ddingtalk gateway with --agent attach",
            robot.agent.name()
        );
        return no(StatusCode::CONFLICT, problem);
    }
    let lines = stream::unfold(robot.desk.attach(), |mut attached: Attached| async {
        let line = attached.next().await?;
        Some((Ok::<_, Infallible>(line), attached))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

async fn events(
    State(robots): Robots,
    Path(id): Path<String>,
    Query(which): Query<Which>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let robot = match find(&robots, which.client_id.as_deref()) {
        Ok(robot) => robot,
        Err(refusal) => return refusal,
    };
    let posted = match read(body).and_then(|body| Posted::parse(&body).map_err(bad)) {
        Ok(posted) => posted,
        Err(refusal) => return refusal,
    };
    if let What::Say(says) = &posted.what
        && let Some(refusal) = missing_file(says)
    {
        return refusal;
    }
    let Ok(id) = id.parse().map(TurnId) else { return judged(Judgement::Unknown, 0) };
    let seq = posted.seq;
    // Whoever asks may hang up, which must not undo half of it.
    let taken = tokio::spawn(Arc::clone(&robot.desk).take(id, posted)).await;
    match taken {
        Ok(judgement) => judged(judgement, seq),
        Err(e) => no(StatusCode::INTERNAL_SERVER_ERROR, format!("the event was lost: {e}")),
    }
}

fn judged(judgement: Judgement, seq: u64) -> Response {
    let conflict = |problem: &str, name: &str, value: u64| {
        answer(StatusCode::CONFLICT, json!({ "v": 1, "error": problem, name: value }))
    };
    match judgement {
        Judgement::Next => answer(StatusCode::OK, json!({ "v": 1, "seq": seq })),
        Judgement::Repeat => answer(StatusCode::OK, json!({ "v": 1, "seq": seq, "repeat": true })),
        Judgement::Gap { expected } => {
            let problem =
                format!("seq is {seq}, and events are missing before it; give {expected}");
            conflict(&problem, "expected", expected)
        }
        Judgement::Stale { attempt } => {
            let problem = format!("the turn was offered again; give attempt {attempt}, or none");
            conflict(&problem, "attempt", attempt)
        }
        Judgement::Ended => no(StatusCode::CONFLICT, "the turn has ended"),
        Judgement::Unknown => no(
            StatusCode::CONFLICT,
            "no such turn is open: it has ended, or its id is not one of GET /v1/agent/turns",
        ),
    }
}

async fn messages(State(robots): Robots, body: Result<Bytes, BytesRejection>) -> Response {
    let parsed = read(body).and_then(|body| message::parse(&body).map_err(bad));
    let (client_id, push) = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => return refusal,
    };
    let robot = match find(&robots, client_id.as_deref()) {
        Ok(robot) => robot,
        Err(refusal) => return refusal,
    };
    if let Some(refusal) = missing_file(std::slice::from_ref(&push.say)) {
        return refusal;
    }
    let pusher = Arc::clone(&robot.pusher);
    // As above: a push that was begun has an outcome, whoever waits for it.
    match tokio::spawn(async move { pusher.push(push).await }).await {
        Ok(Ok(outcomes)) => answer(StatusCode::OK, message::results(&outcomes)),
        Ok(Err(e @ PushError::TooLong(_))) => no(StatusCode::BAD_REQUEST, e),
        Ok(Err(e @ (PushError::KeyReused(_) | PushError::UnderWay(_)))) => {
            no(StatusCode::CONFLICT, e)
        }
        Err(e) => no(StatusCode::INTERNAL_SERVER_ERROR, format!("the push was lost: {e}")),
    }
}

async fn status(State(robots): Robots) -> Response {
    let robots: Vec<_> = robots
        .iter()
        .map(|robot| {
            let (attached, open) = robot.desk.summary();
            let stream = match &*robot.stream.borrow() {
                StreamState::Waiting { .. } => "waiting",
                StreamState::Opening { .. } => "opening",
                StreamState::Connecting { .. } => "connecting",
                StreamState::Connected { .. } => "connected",
                StreamState::Stopped => "stopped",
            };
            json!({
                "clientId": robot.desk.client_id().as_str(),
                "agent": robot.agent.name(),
                "stream": stream,
                "attached": attached,
                "openTurns": open,
            })
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    answer(StatusCode::OK, json!({ "v": 1, "version": version, "robots": robots }))
}

/// The robot that is meant: the named one, or the only one.
#[expect(clippy::result_large_err, reason = "the error is the answer, and is written at once")]
fn find<'a>(robots: &'a [Robot], client_id: Option<&str>) -> Result<&'a Robot, Response> {
    let named = |robot: &&Robot| client_id.is_none_or(|id| robot.desk.client_id().as_str() == id);
    let mut found = robots.iter().filter(named);
    if let (Some(robot), None) = (found.next(), found.next()) {
        return Ok(robot);
    }
    let ids: Vec<_> = robots.iter().map(|robot| robot.desk.client_id().as_str()).collect();
    let given = client_id.map_or_else(|| "missing".to_owned(), |id| format!("{id:?}"));
    let problem = format!("clientId is {given}; give one of {}", ids.join(", "));
    Err(no(StatusCode::BAD_REQUEST, problem))
}

#[expect(clippy::result_large_err, reason = "the error is the answer, and is written at once")]
fn read(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Response> {
    body.map_err(|e| match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let problem = format!("the body is too large; give at most {MAX_BODY} bytes");
            no(StatusCode::PAYLOAD_TOO_LARGE, problem)
        }
        status => no(status, e.body_text()),
    })
}

/// A file that is not there is told at once to whoever named it.
fn missing_file(says: &[Say]) -> Option<Response> {
    says.iter().find_map(|say| match say {
        Say::File { path, .. } if !path.is_file() => {
            let problem =
                format!("path is {:?}; give a file that is there and can be read", path.display());
            Some(no(StatusCode::BAD_REQUEST, problem))
        }
        _ => None,
    })
}

fn bad(problem: impl std::fmt::Display) -> Response {
    no(StatusCode::BAD_REQUEST, problem)
}

fn no(status: StatusCode, problem: impl std::fmt::Display) -> Response {
    answer(status, json!({ "v": 1, "error": problem.to_string() }))
}

fn answer(status: StatusCode, body: Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}
