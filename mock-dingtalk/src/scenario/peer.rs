//! Another client of the same app: `DingTalk` spreads pushes over all connections of one `clientId`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use axum::body::Body;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::AbortHandle};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};
use url::Url;

use super::{
    Stage,
    rows::{Seen, peers},
};
use crate::core::{BOT_TOPIC, OPEN_PATH, PEER_UA};

/// How long it may take to come or to leave. Real time; it is on the same machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer of the mock has at most so many bytes.
const MAX_ANSWER: usize = 1 << 20;

type Socket = WebSocketStream<TcpStream>;

/// An echo bot on the app of another one. It leaves when it is dropped.
#[derive(Debug)]
pub(super) struct Peer(AbortHandle);

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peer {
    /// Connects, and is there for pushes when this is through.
    pub(super) async fn join(stage: &Stage) -> Result<Self, String> {
        let before = stage.find(PATIENCE, |seen| Some(peers(seen))).await;
        let before = before.map_err(|error| error.to_string())?.unwrap_or_default();
        let connecting = tokio::time::timeout(PATIENCE, connect(stage)).await;
        let socket = connecting
            .map_err(|_| format!("the other client is not connected after {PATIENCE:?}"))?
            .map_err(|error| format!("the other client cannot connect: {error:#}"))?;
        let peer = Self(tokio::spawn(serve(socket)).abort_handle());
        let there = |seen: &dyn Seen| (peers(seen) > before).then_some(());
        match stage.find(PATIENCE, there).await {
            Ok(Some(())) => Ok(peer),
            Ok(None) => Err("the connection of the other client does not open".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Ends all of them, and waits until nothing is pushed to them any more.
    pub(super) async fn leave(stage: &Stage, joined: &mut Vec<Self>) -> Result<(), String> {
        joined.clear();
        match stage.find(PATIENCE, |seen| (peers(seen) == 0).then_some(())).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err("the other client does not leave".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

async fn connect(stage: &Stage) -> anyhow::Result<Socket> {
    let env: BTreeMap<String, String> = stage.env().await?.into_iter().collect();
    let of = |name: &str| env.get(name).with_context(|| format!("{name} is not known"));
    let url = Url::parse(of("DINGTALK_OPENAPI_ENDPOINT")?)?.join(OPEN_PATH)?;
    let ask = json!({
        "clientId": of("DINGTALK_CLIENT_ID")?,
        "clientSecret": of("DINGTALK_CLIENT_SECRET")?,
        "ua": PEER_UA,
        "subscriptions": [{ "type": "CALLBACK", "topic": BOT_TOPIC }],
    });
    let answer = post(&url, &ask).await?;
    let (Some(endpoint), Some(ticket)) = (answer["endpoint"].as_str(), answer["ticket"].as_str())
    else {
        anyhow::bail!("connections/open answered {answer}");
    };
    let mut url = Url::parse(endpoint)?;
    url.query_pairs_mut().append_pair("ticket", ticket);
    let (socket, _) = client_async(url.as_str(), dial(&url).await?).await?;
    Ok(socket)
}

/// Answers every text with the same text, until the connection ends.
async fn serve(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
        let ping = frame["headers"]["topic"] == "ping";
        let data = if ping { &frame["data"] } else { &json!(r#"{"response":null}"#) };
        let headers = json!({
            "messageId": frame["headers"]["messageId"],
            "contentType": "application/json",
        });
        let ack = json!({ "code": 200, "headers": headers, "message": "OK", "data": data });
        // If the connection is gone, the next read says so.
        let _ = socket.send(Message::text(ack.to_string())).await;
        let data = frame["data"].as_str().unwrap_or_default();
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let webhook = data["sessionWebhook"].as_str().and_then(|url| Url::parse(url).ok());
        if let (Some(webhook), Some(text)) = (webhook, data["text"]["content"].as_str()) {
            let answer = json!({ "msgtype": "text", "text": { "content": text } });
            if let Err(error) = post(&webhook, &answer).await {
                tracing::debug!("the other client cannot answer: {error:#}");
            }
        }
    }
}

async fn dial(url: &Url) -> anyhow::Result<TcpStream> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    Ok(TcpStream::connect((host.trim_matches(['[', ']']), port)).await?)
}

/// Posts JSON on a connection of its own, and gives the JSON of the answer.
async fn post(url: &Url, body: &Value) -> anyhow::Result<Value> {
    let io = TokioIo::new(dial(url).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    let request = Request::post(&url[url::Position::BeforePath..])
        .header(header::HOST, &url[url::Position::BeforeHost..url::Position::AfterPort])
        .header(header::CONTENT_TYPE, "application/json")
        // Without it `connections/open` answers in XML.
        .header(header::ACCEPT, "application/json")
        .body(Body::from(body.to_string()))?;
    let answer = sender.send_request(request).await?;
    let body = axum::body::to_bytes(Body::new(answer.into_body()), MAX_ANSWER).await?;
    Ok(serde_json::from_slice(&body)?)
}
