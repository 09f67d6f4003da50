//! A gateway and a chat that do as little as they can.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_tungstenite::tungstenite::Message;

/// Chats that the messages belong to.
const CHATS: usize = 1_000;

/// What was measured.
pub(crate) struct Row {
    /// From a message to its answer, shortest first.
    pub(crate) times: Vec<Duration>,
    pub(crate) took: Duration,
    /// Transactions of the database meanwhile.
    pub(crate) commits: f64,
}

impl Row {
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(u32::try_from(self.times.len()).unwrap()) / self.took.as_secs_f64()
    }

    /// So many of a hundred answers took no longer, in milliseconds.
    pub(crate) fn millis(&self, share: usize) -> f64 {
        let at = self.times.len().saturating_sub(1) * share / 100;
        self.times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    }
}

/// A connection's way out.
type Connection = mpsc::UnboundedSender<Message>;

/// The load.
pub(crate) struct Load {
    url: String,
    shared: Arc<Shared>,
    connections: watch::Receiver<Vec<Connection>>,
    frame: Value,
    data: Value,
}

struct Shared {
    /// Where the connections are.
    endpoint: String,
    /// One for each message that may be sent.
    room: Semaphore,
    sent: Mutex<Vec<Instant>>,
    times: Mutex<Vec<Duration>>,
}

impl Load {
    pub(crate) async fn start() -> Self {
        let (http, sockets) = (listen().await, listen().await);
        let url = format!("http://{}", http.local_addr().unwrap());
        let shared = Arc::new(Shared {
            endpoint: format!("ws://{}/connect", sockets.local_addr().unwrap()),
            room: Semaphore::new(0),
            sent: Mutex::default(),
            times: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1.0/gateway/connections/open", post(open))
            .route("/answer", post(answer))
            .fallback(async || Json(json!({ "errcode": 0 })))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(http, routes).await });
        let (connected, connections) = watch::channel(Vec::new());
        tokio::spawn(accept(sockets, connected));
        let text = include_str!("../../../fixtures/stream/callback_bot_text_dm.json");
        let frame: Value = serde_json::from_str(text).unwrap();
        let mut data: Value = serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
        data["sessionWebhook"] = format!("{url}/answer").into();
        data["sessionWebhookExpiredTime"] = 9_999_999_999_999_i64.into();
        Self { url, shared, connections, frame, data }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn wait_connections(&self, count: usize) {
        let mut connections = self.connections.clone();
        connections.wait_for(|all| all.len() >= count).await.unwrap();
    }

    /// Keeps so many messages in flight for a while, and waits for their answers.
    pub(crate) async fn run(&self, in_flight: usize, span: Duration) -> Row {
        let (shared, begin) = (&self.shared, Instant::now());
        shared.times.lock().unwrap().clear();
        shared.room.add_permits(in_flight);
        let connections = self.connections.borrow().clone();
        let (mut frame, mut data) = (self.frame.clone(), self.data.clone());
        while begin.elapsed() < span {
            shared.room.acquire().await.unwrap().forget();
            let n = {
                let mut sent = shared.sent.lock().unwrap();
                sent.push(Instant::now());
                sent.len() - 1
            };
            data["msgId"] = format!("msg{n}").into();
            data["conversationId"] = format!("cid{}==", n % CHATS).into();
            data["createAt"] = i64::try_from(n).unwrap().into();
            data["text"] = json!({ "content": n.to_string() });
            frame["headers"]["messageId"] = format!("frame{n}").into();
            frame["data"] = data.to_string().into();
            let to = &connections[rand::random_range(0..connections.len())];
            to.send(Message::text(frame.to_string())).unwrap();
        }
        let took = begin.elapsed();
        let all = u32::try_from(in_flight).unwrap();
        let answered = shared.room.acquire_many(all);
        tokio::time::timeout(Duration::from_secs(60), answered).await.unwrap().unwrap().forget();
        let mut times = std::mem::take(&mut *shared.times.lock().unwrap());
        times.sort_unstable();
        Row { times, took, commits: 0.0 }
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn open(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "endpoint": shared.endpoint, "ticket": "t" }))
}

/// The echo of a message is its number.
async fn answer(State(shared): State<Arc<Shared>>, Json(said): Json<Value>) -> Json<Value> {
    let text = said["text"]["content"].as_str().or_else(|| said["markdown"]["text"].as_str());
    let n: usize = text.unwrap().trim().parse().unwrap();
    let sent_at = shared.sent.lock().unwrap()[n];
    shared.times.lock().unwrap().push(sent_at.elapsed());
    shared.room.add_permits(1);
    Json(json!({ "errcode": 0, "errmsg": "ok" }))
}

async fn accept(sockets: TcpListener, connected: watch::Sender<Vec<Connection>>) {
    while let Ok((stream, _)) = sockets.accept().await {
        stream.set_nodelay(true).unwrap();
        let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { continue };
        let (mut writer, mut reader) = socket.split();
        let (to, mut messages) = mpsc::unbounded_channel();
        connected.send_modify(|all| all.push(to));
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                writer.feed(message).await.unwrap();
                // As in a real gateway several go out together.
                while let Ok(message) = messages.try_recv() {
                    writer.feed(message).await.unwrap();
                }
                writer.flush().await.unwrap();
            }
        });
        // Acks are read and left; pings are answered with what is written.
        tokio::spawn(async move { while let Some(Ok(_)) = reader.next().await {} });
    }
}
