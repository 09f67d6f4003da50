//! The link's HTTP side.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

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
use tokio::task::{JoinError, JoinHandle};

use super::desk::{Attached, Desk};
use super::event::{Posted, What};
use super::fields::BadField;
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

/// The robots of a link: each may be started again.
#[derive(Debug, Default)]
pub struct Linked(Mutex<Vec<Arc<Robot>>>);

impl Linked {
    /// Of these robots.
    pub fn new(robots: Vec<Robot>) -> Self {
        Self(Mutex::new(robots.into_iter().map(Arc::new).collect()))
    }

    /// Adds a robot, in the place of an earlier one of its app.
    pub fn put(&self, robot: Robot) {
        let mut robots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let robot = Arc::new(robot);
        match robots.iter_mut().find(|old| old.desk.client_id() == robot.desk.client_id()) {
            Some(old) => *old = robot,
            None => robots.push(robot),
        }
    }

    fn all(&self) -> Vec<Arc<Robot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
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
    /// Serves `robots`, and those that come.
    pub fn start(listener: Listener, robots: Arc<Linked>) -> Self {
        let Listener { socket, file } = listener;
        let routes = Router::new()
            .route("/v1/agent/turns", get(turns))
            .route("/v1/agent/turns/{id}/events", post(events))
            .route("/v1/messages", post(messages))
            .route("/v1/status", get(status))
            .route(
                "/v1/health",
                get(async || answer(StatusCode::OK, &json!({ "v": 1, "ok": true }))),
            )
            .fallback(async || Refusal(StatusCode::NOT_FOUND, PATHS.to_owned()))
            .method_not_allowed_fallback(async || {
                Refusal(StatusCode::METHOD_NOT_ALLOWED, PATHS.to_owned())
            })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(robots);
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

const UNAUTHORIZED: &str = "give Authorization: Bearer TOKEN, with the token of agent.json in the state \
                            directory";

type Robots = State<Arc<Linked>>;

/// Lets through whoever has the token.
async fn bearer(State(token): State<Arc<Secret>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if is_same(given.as_bytes(), token.expose().as_bytes()) {
        return next.run(request).await;
    }
    Refusal(StatusCode::UNAUTHORIZED, UNAUTHORIZED.to_owned()).into_response()
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

/// A request that is not carried out; the sentence says what would be.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(self.0, &json!({ "v": 1, "error": self.1 }))
    }
}

impl From<BadField> for Refusal {
    fn from(e: BadField) -> Self {
        Self(StatusCode::BAD_REQUEST, e.to_string())
    }
}

impl From<PushError> for Refusal {
    fn from(e: PushError) -> Self {
        let status = match e {
            PushError::TooLong(_) => StatusCode::BAD_REQUEST,
            PushError::KeyReused(_) | PushError::UnderWay(_) => StatusCode::CONFLICT,
        };
        Self(status, e.to_string())
    }
}

impl From<JoinError> for Refusal {
    fn from(e: JoinError) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("it was lost: {e}"))
    }
}

type Answer = Result<Response, Refusal>;

async fn turns(State(robots): Robots, Query(which): Query<Which>) -> Answer {
    let robot = find(&robots, which.client_id.as_deref())?;
    if robot.agent != AgentKind::Attach {
        let problem = format!(
            "the agent of this robot is {}; start ddingtalk gateway with --agent attach",
            robot.agent.name()
        );
        return Err(Refusal(StatusCode::CONFLICT, problem));
    }
    let lines = stream::unfold(robot.desk.attach(), |mut attached: Attached| async {
        let line = attached.next().await?;
        Some((Ok::<_, Infallible>(line), attached))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn events(
    State(robots): Robots,
    Path(id): Path<String>,
    Query(which): Query<Which>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let robot = find(&robots, which.client_id.as_deref())?;
    let posted = Posted::parse(&read(body)?)?;
    if let What::Say(says) = &posted.what {
        check_files(says)?;
    }
    let Ok(id) = id.parse().map(TurnId) else { return judged(Judgement::Unknown, 0) };
    let seq = posted.seq;
    // Whoever asks may hang up, which must not undo half of it.
    judged(tokio::spawn(Arc::clone(&robot.desk).take(id, posted)).await?, seq)
}

fn judged(judgement: Judgement, seq: u64) -> Answer {
    let conflict = |problem: &str, name: &str, value: u64| {
        Ok(answer(StatusCode::CONFLICT, &json!({ "v": 1, "error": problem, name: value })))
    };
    let over = |problem: &str| Err(Refusal(StatusCode::CONFLICT, problem.to_owned()));
    match judgement {
        Judgement::Next => Ok(answer(StatusCode::OK, &json!({ "v": 1, "seq": seq }))),
        Judgement::Repeat => {
            Ok(answer(StatusCode::OK, &json!({ "v": 1, "seq": seq, "repeat": true })))
        }
        Judgement::Gap { expected } => {
            let problem =
                format!("seq is {seq}, and events are missing before it; give {expected}");
            conflict(&problem, "expected", expected)
        }
        Judgement::Stale { attempt } => {
            let problem = format!("the turn was offered again; give attempt {attempt}, or none");
            conflict(&problem, "attempt", attempt)
        }
        Judgement::Ended => over("the turn has ended"),
        Judgement::Unknown => {
            over("no such turn is open: it has ended, or its id is not one of GET /v1/agent/turns")
        }
    }
}

async fn messages(State(robots): Robots, body: Result<Bytes, BytesRejection>) -> Answer {
    let (client_id, push) = message::parse(&read(body)?)?;
    let robot = find(&robots, client_id.as_deref())?;
    check_files(std::slice::from_ref(&push.say))?;
    let pusher = Arc::clone(&robot.pusher);
    // As above: a push that was begun has an outcome, whoever waits for it.
    let outcomes = tokio::spawn(async move { pusher.push(push).await }).await??;
    Ok(answer(StatusCode::OK, &message::results(&outcomes)))
}

async fn status(State(robots): Robots) -> Response {
    let robots: Vec<_> = robots
        .all()
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
    answer(StatusCode::OK, &json!({ "v": 1, "version": version, "robots": robots }))
}

/// The robot that is meant: the named one, or the only one.
fn find(robots: &Linked, client_id: Option<&str>) -> Result<Arc<Robot>, Refusal> {
    let robots = robots.all();
    let named =
        |robot: &&Arc<Robot>| client_id.is_none_or(|id| robot.desk.client_id().as_str() == id);
    let mut found = robots.iter().filter(named);
    if let (Some(robot), None) = (found.next(), found.next()) {
        return Ok(Arc::clone(robot));
    }
    let ids: Vec<_> = robots.iter().map(|robot| robot.desk.client_id().as_str()).collect();
    let given = client_id.map_or_else(|| "missing".to_owned(), |id| format!("{id:?}"));
    let problem = format!("clientId is {given}; give one of {}", ids.join(", "));
    Err(Refusal(StatusCode::BAD_REQUEST, problem))
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|e| match e.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal(status, format!("the body is too large; give at most {MAX_BODY} bytes"))
        }
        status => Refusal(status, e.body_text()),
    })
}

/// A file that is not there is told at once to whoever named it.
fn check_files(says: &[Say]) -> Result<(), Refusal> {
    let missing = says.iter().find_map(|say| match say {
        Say::File { path, .. } if !path.is_file() => Some(path),
        _ => None,
    });
    missing.map_or(Ok(()), |path| {
        let problem = format!("path is {:?}; give a file that is there", path.display());
        Err(Refusal(StatusCode::BAD_REQUEST, problem))
    })
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}
