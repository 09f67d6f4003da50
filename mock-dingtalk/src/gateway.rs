//! The WebSocket side: `GET /connect?ticket=…` and the life of the socket.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        FromRequestParts, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    response::{IntoResponse, Response},
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};

use crate::{
    core::{ClientFrame, ConnectionKey, Cut, Outgoing, UpgradeVerdict},
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
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
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
    upgrade
        // The defaults cost 130 KiB for each connection.
        .read_buffer_size(256)
        .write_buffer_size(0)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| {
            start(guard, socket, arrival.wire, then);
            std::future::ready(())
        })
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
fn start(guard: Attached, socket: WebSocket, wire: WireControl, then: Option<Cut>) {
    let (orders, outbox) = outbox::new();
    if let Some(how) = then {
        orders.give(Order::Cut(how)).expect("it is the first order");
    }
    let handle = Socket { orders, wire: wire.clone() };
    if !guard.hub.attach(guard.key, handle) {
        wire.reset();
        return;
    }
    let (sink, stream) = socket.split();
    tokio::spawn(run(guard, sink, stream, outbox, wire));
}

async fn run(
    mut guard: Attached,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    outbox: Outbox,
    wire: WireControl,
) {
    // Reading and writing don't wait for each other: a bot that writes before it reads would
    // otherwise block both sides.
    guard.reason = tokio::select! {
        reason = read(&guard.hub, guard.key, stream) => reason,
        reason = write(sink, &outbox, &wire) => reason,
        () = stuck(&outbox) => {
            wire.reset();
            "cut, while the bot read nothing".to_owned()
        }
    };
}

/// Reads until the end, and says why it ended. Pings are answered by the library as it reads.
async fn read(hub: &Hub, key: ConnectionKey, mut stream: SplitStream<WebSocket>) -> String {
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
            Some(Ok(Message::Pong(_))) => {}
            Some(Ok(Message::Close(close))) => {
                // The library answers it; the end follows. Nothing may be pushed any more.
                reason = match close {
                    Some(frame) => format!("the bot closed: {} {}", frame.code, frame.reason),
                    None => "the bot closed without a code".to_owned(),
                };
                hub.step(|fleet, now| fleet.closed(now, key, &reason));
            }
            Some(Err(error)) => return format!("{reason}: {error}"),
            None => return reason,
        }
    }
}

/// Writes what is ordered until an order ends it, and says why it ended.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    outbox: &Outbox,
    wire: &WireControl,
) -> String {
    while let Some(order) = outbox.next().await {
        let sent = match order {
            Order::Send(Outgoing::Text(text)) => sink.send(Message::text(&*text)).await,
            Order::Send(Outgoing::Binary(bytes)) => sink.send(Message::Binary(bytes)).await,
            Order::Cut(Cut::BlackHole) => {
                wire.black_hole();
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
                let frame = CloseFrame { code, reason: reason.into() };
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

/// Ends a while after an end was ordered.
async fn stuck(outbox: &Outbox) {
    outbox.ends().await;
    tokio::time::sleep(ENDING + CLOSING).await;
}
