//! A gateway and a chat that do as little as they can.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::Uri;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::{Fallible, within};

/// Chats that the messages belong to.
const CHATS: usize = 1_000;
/// What was sent is answered by then, or the run has failed.
const ANSWERED: Duration = Duration::from_secs(60);
/// Answers that are quoted when they name no message.
const QUOTED: usize = 3;

/// A connection's way out.
type Connection = mpsc::UnboundedSender<Message>;

/// The load.
pub(crate) struct Load {
    url: String,
    shared: Arc<Shared>,
    /// Sends until it is told to stop.
    sender: Option<JoinHandle<Fallible<()>>>,
    in_flight: usize,
}

struct Shared {
    /// Where the connections are: another port than that of the calls.
    endpoint: String,
    connections: Mutex<Vec<Connection>>,
    /// One for each message that may be sent.
    room: Semaphore,
    stopping: AtomicBool,
    answered: AtomicUsize,
    heard: Mutex<Heard>,
}

/// What was sent, and what was said about it.
#[derive(Default)]
struct Heard {
    sent: Vec<Sent>,
    times: Vec<Duration>,
    twice: usize,
    odd: Vec<String>,
    /// Other calls, by their path.
    calls: BTreeMap<String, usize>,
}

struct Sent {
    at: Instant,
    is_answered: bool,
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    pub(crate) async fn start() -> Fallible<Self> {
        let http = TcpListener::bind("127.0.0.1:0").await?;
        let sockets = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", http.local_addr()?);
        let shared = Arc::new(Shared {
            endpoint: format!("ws://{}/connect", sockets.local_addr()?),
            connections: Mutex::default(),
            room: Semaphore::new(0),
            stopping: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            heard: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1.0/gateway/connections/open", post(open))
            .route("/answer", post(answer))
            .fallback(other)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(http, routes).await });
        tokio::spawn(accept(sockets, Arc::clone(&shared)));
        Ok(Self { url, shared, sender: None, in_flight: 0 })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections().len()
    }

    /// How many messages were answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// From a message to its answer, of those that were answered since this was asked last.
    pub(crate) fn times(&self) -> Vec<Duration> {
        std::mem::take(&mut self.shared.heard().times)
    }

    /// What happened so far, for people.
    pub(crate) fn account(&self) -> String {
        let connections = self.connections();
        let heard = self.shared.heard();
        let Heard { sent, twice, odd, calls, .. } = &*heard;
        format!(
            "{connections} connections, {} messages sent, {} answered, {twice} of them twice; answers to nothing: {odd:?}; other calls: {calls:?}",
            sent.len(),
            self.answered(),
        )
    }

    /// Keeps so many messages in flight from now on.
    pub(crate) fn begin(&mut self, in_flight: usize) -> Fallible<()> {
        let frames = Frames::new(&self.url)?;
        self.in_flight = in_flight;
        self.shared.room.add_permits(in_flight);
        self.sender = Some(tokio::spawn(send(Arc::clone(&self.shared), frames)));
        Ok(())
    }

    /// Sends no more, and waits until all is answered, once each.
    pub(crate) async fn end(&mut self) -> Fallible<()> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            within("the end of the load", ANSWERED, sender).await???;
        }
        let all = self.shared.room.acquire_many(u32::try_from(self.in_flight)?);
        within("the answers to what was sent", ANSWERED, all).await??.forget();
        let heard = self.shared.heard();
        if heard.twice > 0 || !heard.odd.is_empty() {
            drop(heard);
            return Err("there were more answers than questions".into());
        }
        Ok(())
    }
}

/// Messages as the gateway sends them.
struct Frames {
    frame: Value,
    data: Value,
}

impl Frames {
    fn new(url: &str) -> Fallible<Self> {
        let text = include_str!("../../../fixtures/stream/callback_bot_text_dm.json");
        let frame: Value = serde_json::from_str(text)?;
        let mut data: Value = serde_json::from_str(frame["data"].as_str().ok_or("no data")?)?;
        data["sessionWebhook"] = format!("{url}/answer").into();
        data["sessionWebhookExpiredTime"] = 9_999_999_999_999_i64.into();
        Ok(Self { frame, data })
    }

    /// Ids are as random as those of DingTalk, so that an index gets no help from their order.
    fn next(&mut self, n: usize) -> Fallible<Message> {
        let (data, frame) = (&mut self.data, &mut self.frame);
        data["msgId"] = format!("msg{:016x}", rand::random::<u64>()).into();
        data["conversationId"] = format!("cid{}==", n % CHATS).into();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        data["createAt"] = u64::try_from(now)?.into();
        data["text"] = json!({ "content": n.to_string() });
        frame["headers"]["messageId"] = format!("frame{:016x}", rand::random::<u64>()).into();
        frame["data"] = data.to_string().into();
        Ok(Message::text(frame.to_string()))
    }
}

/// Sends whenever there is room, over all connections alike.
async fn send(shared: Arc<Shared>, mut frames: Frames) -> Fallible<()> {
    let connections = shared.connections().clone();
    while !shared.stopping.load(Ordering::Relaxed) {
        // `Load::end` takes the room that is left when this has ended.
        let Ok(room) =
            tokio::time::timeout(Duration::from_millis(100), shared.room.acquire()).await
        else {
            continue;
        };
        room?.forget();
        let n = {
            let mut heard = shared.heard();
            heard.sent.push(Sent { at: Instant::now(), is_answered: false });
            heard.sent.len() - 1
        };
        let message = frames.next(n)?;
        let to = &connections[rand::random_range(0..connections.len())];
        to.send(message).map_err(|_| "a connection was closed")?;
    }
    Ok(())
}

async fn open(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "endpoint": shared.endpoint, "ticket": "t" }))
}

/// The echo of a message is its number.
async fn answer(State(shared): State<Arc<Shared>>, Json(said): Json<Value>) -> Json<Value> {
    let text = said["text"]["content"].as_str().or_else(|| said["markdown"]["text"].as_str());
    let n: Option<usize> = text.and_then(|text| text.trim().parse().ok());
    let is_first = {
        let mut heard = shared.heard();
        let Heard { sent, times, twice, odd, .. } = &mut *heard;
        match n.and_then(|n| sent.get_mut(n)) {
            Some(sent) if sent.is_answered => {
                *twice += 1;
                false
            }
            Some(sent) => {
                sent.is_answered = true;
                times.push(sent.at.elapsed());
                true
            }
            None => {
                if odd.len() < QUOTED {
                    odd.push(said.to_string());
                }
                false
            }
        }
    };
    if is_first {
        shared.answered.fetch_add(1, Ordering::Relaxed);
        shared.room.add_permits(1);
    }
    Json(json!({ "errcode": 0, "errmsg": "ok" }))
}

async fn other(State(shared): State<Arc<Shared>>, uri: Uri) -> Json<Value> {
    *shared.heard().calls.entry(uri.path().to_owned()).or_default() += 1;
    Json(json!({ "errcode": 0 }))
}

async fn accept(sockets: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = sockets.accept().await {
        // It costs time only.
        let _ = stream.set_nodelay(true);
        let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { continue };
        let (mut writer, mut reader) = socket.split();
        let (to, mut messages) = mpsc::unbounded_channel();
        shared.connections().push(to);
        // Whoever sends sees that the other end of the channel is gone.
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                writer.feed(message).await?;
                // As in a real gateway several go out together.
                while let Ok(message) = messages.try_recv() {
                    writer.feed(message).await?;
                }
                writer.flush().await?;
            }
            Ok::<_, tokio_tungstenite::tungstenite::Error>(())
        });
        // Acks are read and left; pings are answered with what is written.
        tokio::spawn(async move { while let Some(Ok(_)) = reader.next().await {} });
    }
}
