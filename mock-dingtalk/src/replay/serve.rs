//! The port of a replay.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitSink};
use hyper::{server::conn::http1, upgrade::Upgraded};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role},
    },
};

use super::{
    outcome::Outcome,
    recording::{Answer, Recording, Upgrade},
    script::Script,
};
use crate::{
    clock::Clock,
    core::Cut,
    gateway::upgrade,
    wire::{Wire, WireControl},
};

/// A larger body is refused.
const MAX_BODY: usize = 24 << 20;
/// Whatever comes so long after the last of the recording still counts. Real time.
const LINGER: Duration = Duration::from_millis(300);
/// A recorded end waits for the recorded answers, as long as something comes so often. Real time.
const ANSWERING: Duration = Duration::from_secs(3);

/// A recorded session that is being served again. It stops when this is dropped.
#[derive(Debug)]
pub struct Replay {
    stage: Arc<Stage>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Stage {
    script: Mutex<Script>,
    news: watch::Sender<u64>,
    ended: watch::Sender<bool>,
    clock: Clock,
    speed: f64,
}

impl Replay {
    /// Serves `recording` at `listen`, `speed` times as fast as it was recorded; 0 means without
    /// any pause. Server-made URLs lead to the `Host` that the bot calls.
    pub async fn start(recording: Recording, listen: SocketAddr, speed: f64) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let stage = Arc::new(Stage {
            script: Mutex::new(Script::new(recording)),
            news: watch::Sender::new(0),
            ended: watch::Sender::new(false),
            clock: Clock::start(),
            speed,
        });
        let router = Router::new()
            .route("/connect", get(connect))
            .fallback(call)
            .with_state(Arc::clone(&stage));
        let task = tokio::spawn(accept(listener, router));
        Ok(Self { stage, address, task })
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `ws://HOST:PORT/connect`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/connect", self.address)
    }

    /// What came so far.
    pub fn outcome(&self) -> Outcome {
        self.stage.script().outcome()
    }

    /// Waits until all that was recorded has come, and gives up when every frame is out and
    /// nothing came for `patience` of real time.
    pub async fn finished(&self, patience: Duration) -> Outcome {
        let mut news = self.stage.news.subscribe();
        loop {
            news.mark_unchanged();
            let (done, playing) = {
                let script = self.stage.script();
                (script.is_done(), script.is_playing())
            };
            if playing {
                // The sender lives in `self`, so this ends only with news.
                let _ = news.changed().await;
                continue;
            }
            let wait = if done { LINGER } else { patience };
            if tokio::time::timeout(wait, news.changed()).await.is_err() {
                return self.outcome();
            }
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
        self.stage.ended.send_replace(true);
    }
}

impl Stage {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something happen to the script, and tells whoever waits.
    fn step<R>(&self, event: impl FnOnce(&mut Script) -> R) -> R {
        let result = event(&mut self.script());
        self.news.send_modify(|news| *news = news.wrapping_add(1));
        result
    }

    /// Waits until the bot has answered on a connection what it answered when it was recorded, or
    /// does nothing any more.
    async fn answered(&self, connection: usize) {
        let mut news = self.news.subscribe();
        loop {
            news.mark_unchanged();
            if self.script().is_answered(connection)
                || tokio::time::timeout(ANSWERING, news.changed()).await.is_err()
            {
                return;
            }
        }
    }

    /// Waits until `ms` of the recording have passed since `opened`.
    async fn at(&self, opened: Duration, ms: u64) {
        if self.speed > 0.0 {
            let pause = Duration::from_millis(ms).as_secs_f64() / self.speed;
            // A pause too long to be represented is as good as the longest one.
            let pause = Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX);
            self.clock.sleep_until(opened.saturating_add(pause)).await;
        }
    }
}

async fn accept(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let (wire, control) = Wire::new(stream);
                let service = TowerToHyperService::new(router.clone().layer(Extension(control)));
                connections.spawn(async move {
                    let served = http1::Builder::new()
                        .serve_connection(TokioIo::new(wire), service)
                        .with_upgrades()
                        .await;
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Any call but the upgrade.
async fn call(
    State(stage): State<Arc<Stage>>,
    Extension(wire): Extension<WireControl>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default().to_owned();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let form = kind.is_some_and(|kind| kind.starts_with("multipart/"));
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let body = if form {
        format!("(a form of {} bytes)", body.len())
    } else {
        String::from_utf8_lossy(&body).into_owned()
    };
    let answer = stage.step(|script| {
        let answer = script.call(parts.method.as_str(), parts.uri.path(), &body);
        answer.map(|answer| match answer {
            Answer::Http { status, body } => {
                Answer::Http { status, body: script.recording.rewritten(&body, &host) }
            }
            other => other,
        })
    });
    match answer {
        None => (StatusCode::NOT_FOUND, "this call is not in the recording\n").into_response(),
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::Cut) => {
            wire.reset();
            std::future::pending().await
        }
        Some(Answer::Http { status, body }) => {
            let kind = match body.as_bytes().first() {
                Some(b'{' | b'[') => "application/json;charset=utf-8",
                Some(b'<') => "text/html",
                _ => "application/octet-stream",
            };
            let mut response = Response::new(Body::from(body));
            *response.status_mut() =
                StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        }
    }
}

/// The upgrade: whatever the ticket is, it gets the next connection of the recording.
async fn connect(
    State(stage): State<Arc<Stage>>,
    Extension(wire): Extension<WireControl>,
    request: Request,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default().to_owned();
    let upgrade = match upgrade::Upgrade::of(request) {
        Ok(upgrade) => upgrade,
        Err(refused) => return refused.into_response(),
    };
    match stage.step(Script::upgrade) {
        Upgrade::Silence => std::future::pending().await,
        Upgrade::Cut => {
            wire.reset();
            std::future::pending().await
        }
        Upgrade::Refused(status) => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED).into_response()
        }
        Upgrade::Accepted(index) => {
            let guard = Playing { stage, index };
            let (response, on_upgrade) = upgrade.accept();
            tokio::spawn(async move {
                let Ok(upgraded) = on_upgrade.await else { return };
                let io = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
                play(&guard, socket, &wire, &host).await;
            });
            response
        }
    }
}

type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection of the recording. However it ends, nothing more is played on it.
struct Playing {
    stage: Arc<Stage>,
    index: usize,
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.stage.step(|script| script.played(self.index));
    }
}

async fn play(playing: &Playing, socket: WebSocket, wire: &WireControl, host: &str) {
    let (sink, mut stream) = socket.split();
    let read = async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Text(text) = message {
                playing.stage.step(|script| script.received(playing.index, &text));
            }
        }
    };
    let mut ended = playing.stage.ended.subscribe();
    tokio::select! {
        _ = ended.wait_for(|ended| *ended) => {}
        () = read => {}
        () = push(playing, sink, wire, host) => {}
    }
}

/// Writes the recorded frames at their times, and ends the connection if the server did.
async fn push(
    playing: &Playing,
    mut sink: SplitSink<WebSocket, Message>,
    wire: &WireControl,
    host: &str,
) {
    let Playing { stage, index } = playing;
    let opened = stage.clock.now().since_start;
    let connection = stage.script().recording.connections[*index].clone();
    for (at, frame) in &connection.frames {
        stage.at(opened, *at).await;
        let text = stage.script().recording.rewritten(frame, host);
        if sink.send(Message::text(text)).await.is_err() {
            return;
        }
    }
    let Some((at, how)) = connection.end else {
        stage.step(|script| script.played(*index));
        return std::future::pending().await;
    };
    stage.at(opened, at).await;
    stage.answered(*index).await;
    match how {
        Cut::BlackHole | Cut::OneWay(_) => {
            wire.cut(&how);
            stage.step(|script| script.played(*index));
            std::future::pending::<()>().await;
        }
        Cut::Fin => wire.finish(),
        Cut::Rst => wire.reset(),
        Cut::Close { code, reason } => {
            // The bot may be gone; then there is nobody to tell.
            let close = CloseFrame { code: code.into(), reason: reason.into() };
            let _ = sink.send(Message::Close(Some(close))).await;
            stage.step(|script| script.played(*index));
            // The reader sees the bot's answer and ends this.
            std::future::pending::<()>().await;
        }
    }
}
