//! A bot made of raw requests and frames, so that nothing but the wire is trusted.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use mock_dingtalk::{App, MockDingtalk};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message},
};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const BOT_TOPIC: &str = "/v1.0/im/bot/messages/get";

/// A client that speaks plain HTTP and asks no proxy. Its TLS trusts nobody and is never used.
pub(crate) fn http() -> reqwest::Client {
    http_builder().build().unwrap()
}

pub(crate) fn http_builder() -> reqwest::ClientBuilder {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(PATIENCE)
}

/// The body of `connections/open` for robot messages and events.
pub(crate) fn open_body(app: &App) -> Value {
    json!({
        "clientId": app.client_id(),
        "clientSecret": app.client_secret(),
        "subscriptions": [
            {"type": "EVENT", "topic": "*"},
            {"type": "CALLBACK", "topic": BOT_TOPIC},
        ],
        "ua": "test/1",
    })
}

/// Asks for a ticket; status and body.
pub(crate) async fn open(url: &str, body: &Value) -> (u16, Value) {
    let response = http()
        .post(format!("{url}/v1.0/gateway/connections/open"))
        .json(body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

/// The access token that `gettoken` of the old host gives.
pub(crate) async fn old_token(mock: &MockDingtalk, app: &App) -> Value {
    let (key, secret) = (app.client_id(), app.client_secret());
    let url = format!("{}/gettoken?appkey={key}&appsecret={secret}", mock.url());
    http().get(url).send().await.unwrap().json().await.unwrap()
}

/// A fresh ticket and the endpoint it is for.
pub(crate) async fn ticket(mock: &MockDingtalk, app: &App) -> (String, String) {
    let (status, body) = open(mock.url(), &open_body(app)).await;
    assert_eq!(status, 200, "{body}");
    (body["endpoint"].as_str().unwrap().to_owned(), body["ticket"].as_str().unwrap().to_owned())
}

/// A WebSocket of a bot.
pub(crate) struct Bot {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Bot {
    pub(crate) async fn connect(mock: &MockDingtalk, app: &App) -> Self {
        let (endpoint, ticket) = ticket(mock, app).await;
        Self::redeem(&endpoint, &ticket).await.unwrap()
    }

    pub(crate) async fn redeem(endpoint: &str, ticket: &str) -> Result<Self, tungstenite::Error> {
        let url = format!("{endpoint}?ticket={ticket}");
        let (socket, _) = tokio_tungstenite::connect_async(url).await?;
        Ok(Self { socket })
    }

    /// The next message of any kind, or the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        tokio::time::timeout(PATIENCE, self.socket.next())
            .await
            .expect("nothing came, and the connection did not end either")
    }

    /// The next frame as text.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    pub(crate) async fn frame(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Acknowledges a frame as the protocol page asks for.
    pub(crate) async fn ack(&mut self, frame: &Value) {
        self.send(ack(frame, r#"{"response":null}"#)).await;
    }
}

pub(crate) fn ack(frame: &Value, data: &str) -> String {
    json!({
        "code": 200,
        "headers": {
            "messageId": frame["headers"]["messageId"],
            "contentType": "application/json",
        },
        "message": "OK",
        "data": data,
    })
    .to_string()
}

/// The JSON inside `data`.
pub(crate) fn data(frame: &Value) -> Value {
    serde_json::from_str(frame["data"].as_str().expect("data is a string")).unwrap()
}

/// Waits for something that another task brings about, and says what was there when it gave up.
pub(crate) async fn eventually<T, D: std::fmt::Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, D>,
) -> T {
    let mut last = None;
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) => last = Some(seen),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    found.unwrap_or_else(|_| panic!("{what} did not come about; last seen: {last:?}"))
}

/// A bot whose connection the mock has noticed.
pub(crate) async fn connected(mock: &MockDingtalk, app: &App) -> Bot {
    let bot = Bot::connect(mock, app).await;
    app.wait_connections(1).await.unwrap();
    bot
}

/// Says something and reads it: the connection works.
pub(crate) async fn works(app: &App, bot: &mut Bot) {
    app.say("user0001", "still there?").await.unwrap();
    assert_eq!(data(&bot.frame().await)["text"]["content"], "still there?");
}
