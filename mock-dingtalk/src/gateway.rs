//! The WebSocket side: `GET /connect?ticket=…` and the life of the socket.

mod frames;
mod pong_filter;
pub(crate) mod upgrade;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use self::{
    pong_filter::{PongFilter, Pongs},
    upgrade::{Refused, Upgrade},
};
use crate::{
    core::{AppNumber, ClientFrame, ConnectionKey, Cut, Ill, Outgoing, UpgradeVerdict},
    dingtalk,
    hub::{Hub, Socket},
    outbox::{self, Order, Outbox},
    server::Arrival,
    wire::WireControl,
};

/// Larger messages from a bot end the connection. Acks have a few hundred bytes.
const MAX_MESSAGE: usize = 4 << 20;
/// An ordered end is carried out after this time even if the bot reads nothing. Real time.
const ENDING: Duration = Duration::from_secs(1);
/// A bot has so long to answer a Close frame. Real time.
const CLOSING: Duration = Duration::from_secs(5);

type WebSocket = WebSocketStream<PongFilter<TokioIo<Upgraded>>>;

/// Answers the upgrade request. The ticket is looked at only if the request is a proper one.
pub(crate) async fn connect(
    State(hub): State<Arc<Hub>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let ticket = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "ticket")
        .map(|(_, ticket)| ticket.into_owned())
        .unwrap_or_default();
    let upgrade = match Upgrade::of(request) {
        Ok(upgrade) => upgrade,
        Err(Refused { status, why }) => {
            let answer =
                hub.step(|fleet, now| fleet.refuse_handshake(now, &ticket, status.as_u16(), why));
            return dingtalk::respond(&hub, &arrival, answer).await;
        }
    };
    let (key, app, at, then) = match hub.step(|fleet, now| fleet.upgrade(now, &ticket)) {
        UpgradeVerdict::Accept { key, app, at, then } => (key, app, at, then),
        UpgradeVerdict::Answer(answer) => return dingtalk::respond(&hub, &arrival, answer).await,
    };
    // If the bot leaves before the upgrade is through, the connection must not stay behind.
    let guard = Attached { hub: Arc::clone(&hub), key, reason: "the upgrade failed".to_owned() };
    if let Some(at) = at {
        hub.sleep_until(Some(app), at).await;
    }
    let (response, on_upgrade) = upgrade.accept();
    tokio::spawn(async move {
        let Ok(upgraded) = on_upgrade.await else { return };
        // The defaults cost 130 KiB for each connection.
        let config = WebSocketConfig::default()
            .read_buffer_size(256)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let pongs = Pongs::new(AtomicBool::new(true));
        let io = PongFilter::new(TokioIo::new(upgraded), Arc::clone(&pongs));
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        start(guard, socket, Strings { wire: arrival.wire, pongs, app }, then);
    });
    response
}

/// What faults pull at, below the WebSocket.
struct Strings {
    wire: WireControl,
    pongs: Pongs,
    /// On whose clock bytes trickle.
    app: AppNumber,
}

/// Takes the connection out of the hub, however its task ends.
struct Attached {
    hub: Arc<Hub>,
    key: ConnectionKey,
    reason: String,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.hub.detach(self.key, &self.reason);
    }
}

/// Starts the life of a connection, in a task of its own: the one that did the upgrade is twice as
/// large.
fn start(guard: Attached, socket: WebSocket, strings: Strings, then: Option<Cut>) {
    let wire = strings.wire.clone();
    let (orders, outbox) = outbox::new();
    if let Some(how) = then.clone() {
        orders.give(Order::Cut(how)).expect("it is the first order");
    }
    let handle = Socket { orders, wire: wire.clone() };
    if !guard.hub.attach(guard.key, handle) {
        wire.reset();
        return;
    }
    if let Some(how) = then {
        guard.hub.step(|fleet, now| fleet.cut_at_first(now, guard.key, &how));
    }
    let (sink, stream) = socket.split();
    tokio::spawn(run(guard, sink, stream, outbox, strings));
}

async fn run(
    mut guard: Attached,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    outbox: Outbox,
    strings: Strings,
) {
    // Reading and writing don't wait for each other: a bot that writes before it reads would
    // otherwise block both sides.
    guard.reason = tokio::select! {
        // What waits goes out before a Close frame is read: afterwards nothing can.
        biased;
        reason = write(&guard.hub, sink, &outbox, &strings) => reason,
        reason = read(&guard.hub, guard.key, stream, &outbox) => reason,
        () = stuck(&outbox) => {
            strings.wire.reset();
            "cut, while the bot read nothing".to_owned()
        }
    };
}

/// Reads until the end, and says why it ended. Pings are answered by the library as it reads.
async fn read(
    hub: &Hub,
    key: ConnectionKey,
    mut stream: SplitStream<WebSocket>,
    outbox: &Outbox,
) -> String {
    let mut reason = "the bot ended the TCP connection".to_owned();
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame = ClientFrame::parse(&text);
                hub.step(|fleet, now| fleet.received(now, key, frame, text.as_str().into()));
            }
            Some(Ok(Message::Binary(bytes))) => {
                hub.step(|fleet, now| fleet.received_binary(now, key, bytes.len()));
            }
            Some(Ok(Message::Ping(_))) => hub.step(|fleet, now| fleet.pinged(now, key)),
            // Frames as such come out only where they went in.
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(close))) => {
                // The library answers it; the end follows. Nothing may be pushed any more, and what was in this
                // instant goes to somebody else.
                reason = match close {
                    Some(frame) => format!("the bot closed: {} {}", frame.code, frame.reason),
                    None => "the bot closed without a code".to_owned(),
                };
                hub.step(|fleet, now| fleet.closed(now, key, &reason, &outbox.unwritten()));
            }
            Some(Err(error)) => return format!("{reason}: {error}"),
            None => return reason,
        }
    }
}

/// Writes what is ordered until an order ends it, and says why it ended.
async fn write(
    hub: &Arc<Hub>,
    mut sink: SplitSink<WebSocket, Message>,
    outbox: &Outbox,
    Strings { wire, pongs, app }: &Strings,
) -> String {
    while let Some(order) = outbox.next().await {
        let sent = match order {
            Order::Send(Outgoing::Text(text)) => sink.send(Message::text(&*text)).await,
            Order::Send(Outgoing::Binary(bytes)) => sink.send(Message::Binary(bytes)).await,
            Order::Send(Outgoing::Fragments(text, pieces)) => {
                send_all(&mut sink, frames::fragments(&text, pieces)).await
            }
            Order::Send(Outgoing::Bad(text, how)) => {
                send_all(&mut sink, frames::bad(&text, how)).await
            }
            Order::Sicken(Ill::NoPong) => {
                pongs.store(false, Ordering::Release);
                Ok(())
            }
            Order::Sicken(Ill::Dribble { bytes, every }) => {
                wire.dribble(hub, Some(*app), bytes, every);
                Ok(())
            }
            Order::Cut(how @ (Cut::BlackHole | Cut::OneWay(_))) => {
                wire.cut(&how);
                Ok(())
            }
            Order::Cut(Cut::Rst) => {
                wire.reset();
                return "reset by the mock".to_owned();
            }
            Order::Cut(Cut::Fin) => {
                wire.finish();
                return "ended by the mock".to_owned();
            }
            Order::Cut(Cut::Close { code, reason }) => {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                if sink.send(Message::Close(Some(frame))).await.is_ok() {
                    // The reader sees the bot's answer; this side has nothing more to say.
                    tokio::time::sleep(CLOSING).await;
                }
                return "closed by the mock".to_owned();
            }
        };
        if let Err(error) = sent {
            return format!("the bot is gone: {error}");
        }
    }
    "the mock stopped".to_owned()
}

async fn send_all(
    sink: &mut SplitSink<WebSocket, Message>,
    frames: Vec<Message>,
) -> Result<(), tungstenite::Error> {
    for frame in frames {
        sink.feed(frame).await?;
    }
    sink.flush().await
}

/// Ends a while after an end was ordered.
async fn stuck(outbox: &Outbox) {
    outbox.ends().await;
    tokio::time::sleep(ENDING + CLOSING).await;
}
