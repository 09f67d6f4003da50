//! The link's HTTP side.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use super::body;
use super::desk::Attached;
use super::event::{Posted, What};
use super::fields::BadField;
use super::health::{self, Health};
use super::inbox;
use super::linked::{Linked, NotRestarted, Robot};
use super::listener::{Listener, Socket};
use super::message;
use super::metrics::metrics;
use super::parameters::{Path, Query};
use super::schedules;
use super::sent;
use super::status::status;
use super::turns::Judgement;
use crate::agent::{Say, TurnId};
use crate::gateway::push::{PushError, What as Pushed};
use crate::redact::Secret;

/// The running link; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    task: Option<JoinHandle<()>>,
    file: PathBuf,
    /// No connection is accepted any more when this is dropped, and those that are open end with their answers.
    open: Option<oneshot::Sender<()>>,
}

impl Server {
    /// Serves `robots`, and those that come.
    pub fn start(listener: Listener, robots: Arc<Linked>, health: &Arc<Health>) -> Self {
        let Listener { socket, file } = listener;
        let routes = Router::new()
            .route("/v1/agent/turns", get(turns))
            .route("/v1/agent/turns/{id}/events", post(events))
            .route("/v1/messages", post(messages))
            .route("/v1/messages/{key}/recall", post(sent::recall))
            .route("/v1/messages/{key}/read", get(sent::read))
            .route("/v1/schedules", get(schedules::list).post(schedules::add))
            .route("/v1/schedules/{id}", delete(schedules::remove))
            .route("/v1/schedules/{id}/run", post(schedules::run))
            .route("/v1/schedules/{id}/enable", post(schedules::enable))
            .route("/v1/schedules/{id}/disable", post(schedules::disable))
            .route("/v1/schedules/{id}/runs", get(schedules::runs))
            .route("/v1/inbox/{id}/retry", post(inbox::retry))
            .route("/v1/inbox/{id}/drop", post(inbox::end))
            .route("/v1/status", get(status))
            .route("/v1/restart", post(restart))
            .route("/v1/metrics", get(metrics))
            .merge(health::routes(health, "/v1/health", "/v1/ready"))
            .fallback(async || Refusal(StatusCode::NOT_FOUND, PATHS.to_owned()))
            .method_not_allowed_fallback(async || {
                Refusal(StatusCode::METHOD_NOT_ALLOWED, PATHS.to_owned())
            })
            // Bodies are read before, and have a limit there.
            .layer(DefaultBodyLimit::disable())
            .with_state(robots);
        let whole = middleware::from_fn(body::whole);
        let (open, closes) = oneshot::channel::<()>();
        let closes = async {
            // It brings nothing but its end.
            let _ = closes.await;
        };
        let task = match socket {
            Socket::Unix(listener) => tokio::spawn(async move {
                // It goes on after errors of single connections, and ends with this task.
                let serve = axum::serve(listener, routes.layer(whole));
                let _ = serve.with_graceful_shutdown(closes).await;
            }),
            Socket::Tcp { listener, token } => {
                let guard = middleware::from_fn_with_state(Arc::new(token), bearer);
                let guarded = routes.layer(guard).layer(whole);
                tokio::spawn(async move {
                    let serve = axum::serve(listener, guarded);
                    let _ = serve.with_graceful_shutdown(closes).await;
                })
            }
        };
        Self { task: Some(task), file, open: Some(open) }
    }

    /// Leaves the address to another process that has taken it over. What is returned ends when the last answer
    /// is out.
    pub fn leave(mut self) -> Option<JoinHandle<()>> {
        self.open = None;
        self.task.take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(task) = &self.task else { return };
        task.abort();
        // It may be gone, and one that stays is stale and is replaced.
        let _ = std::fs::remove_file(&self.file);
    }
}

const PATHS: &str = "there is GET /v1/agent/turns, POST /v1/agent/turns/{id}/events, POST /v1/messages, \
                     POST /v1/messages/{key}/recall, GET /v1/messages/{key}/read, \
                     GET and POST /v1/schedules, DELETE /v1/schedules/{id}, \
                     POST /v1/schedules/{id}/run, /enable and /disable, GET /v1/schedules/{id}/runs, \
                     POST /v1/inbox/{id}/retry, POST /v1/inbox/{id}/drop, \
                     GET /v1/status, GET /v1/metrics, GET /v1/health, GET /v1/ready, POST /v1/restart";

const UNAUTHORIZED: &str = "give Authorization: Bearer TOKEN, with the token of agent.json in the state \
                            directory";

pub(super) type Robots = State<Arc<Linked>>;

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
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

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
            PushError::NotKept(_) => StatusCode::SERVICE_UNAVAILABLE,
            PushError::KeyReused(_) | PushError::UnderWay(_) | PushError::Interrupted(_) => {
                StatusCode::CONFLICT
            }
        };
        Self(status, e.to_string())
    }
}

impl From<JoinError> for Refusal {
    fn from(e: JoinError) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("it was lost: {e}"))
    }
}

pub(super) type Answer = Result<Response, Refusal>;

async fn turns(State(robots): Robots, Query(which): Query<Which>) -> Answer {
    let robot = find(&robots, which.client_id.as_deref())?;
    if !robot.agent.attaches() {
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
    body: Bytes,
) -> Answer {
    // A robot that is named and not there has no turn now; it is offered again if the robot comes back.
    let absent = |Refusal(status, problem)| match which.client_id {
        Some(_) => Refusal(StatusCode::CONFLICT, problem),
        None => Refusal(status, problem),
    };
    let robot = find(&robots, which.client_id.as_deref()).map_err(absent)?;
    let posted = Posted::parse(&body)?;
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
        Judgement::TooMany { retry_after } => {
            let problem =
                "much was said in this turn already; post the event again after retryAfterMs";
            // Told to wait for less, it would come too early.
            let wait = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            let body = json!({ "v": 1, "error": problem, "retryAfterMs": wait });
            Ok(answer(StatusCode::TOO_MANY_REQUESTS, &body))
        }
        Judgement::Ended => over("the turn has ended"),
        Judgement::Unknown => {
            over("no such turn is open: it has ended, or its id is not one of GET /v1/agent/turns")
        }
    }
}

async fn messages(State(robots): Robots, body: Bytes) -> Answer {
    let (client_id, push) = message::parse(&body)?;
    let robot = find(&robots, client_id.as_deref())?;
    if let Pushed::Say(say) = &push.what {
        check_files(std::slice::from_ref(say))?;
    }
    let pusher = Arc::clone(&robot.pusher);
    // As above: a push that was begun has an outcome, whoever waits for it.
    let deliveries = tokio::spawn(async move { pusher.push(push).await }).await??;
    Ok(answer(StatusCode::OK, &message::results(&deliveries)))
}

/// Another process takes this one's place, with the same arguments and environment. The answer comes when it
/// has, or when it is certain that it will not.
async fn restart(State(linked): Robots, body: Bytes) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wanted {
        timeout_ms: Option<u64>,
    }
    let wanted: Wanted = serde_json::from_slice(if body.is_empty() { b"{}" } else { &body })
        .map_err(|e| {
            let problem =
                format!("the body is no request ({e}); give {{\"timeoutMs\": 60000}}, or none");
            Refusal(StatusCode::BAD_REQUEST, problem)
        })?;
    let patience = wanted.timeout_ms.map_or(PATIENCE, Duration::from_millis);
    Ok(match linked.restart(patience).await {
        Ok(restarted) => answer(StatusCode::OK, &restarted),
        Err(NotRestarted { problem, exit_code }) => {
            let body = json!({ "v": 1, "error": problem, "exitCode": exit_code });
            answer(StatusCode::CONFLICT, &body)
        }
    })
}

/// How long a restart may take until its process is connected, unless whoever asks says something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// The robot that is meant: the named one, or the only one.
pub(super) fn find(robots: &Linked, client_id: Option<&str>) -> Result<Arc<Robot>, Refusal> {
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

/// A file that is not there is told at once to whoever named it; so is what is no file, such as a pipe.
fn check_files(says: &[Say]) -> Result<(), Refusal> {
    let missing = says.iter().find_map(|say| match say {
        Say::File { path, .. } if !path.is_file() => Some(path),
        _ => None,
    });
    missing.map_or(Ok(()), |path| {
        let problem = format!("path is {:?}; give a regular file that is there", path.display());
        Err(Refusal(StatusCode::BAD_REQUEST, problem))
    })
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}
