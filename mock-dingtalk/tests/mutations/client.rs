//! What a bot does on the wire.

use futures_util::{SinkExt, StreamExt};
use mock_dingtalk::App;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use crate::stage::Stage;

pub(crate) const ROBOT: &str = "/v1.0/im/bot/messages/get";
pub(crate) const CARD: &str = "/v1.0/card/instances/callback";

/// The text of a frame after which everything that was due before has come.
const SENTINEL: &str = r#"{"type":"SENTINEL"}"#;

/// For `map_err`.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands the error over")]
pub(crate) fn text<T: ToString>(error: T) -> String {
    error.to_string()
}

/// A WebSocket of a bot.
pub(crate) struct Bot {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// As the mock names it.
    pub(crate) id: String,
}

impl Stage {
    /// Status and JSON of a call.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        let mut request = self.http.request(method, format!("{}{path}", self.mock.url()));
        if let Some(token) = token {
            request = request.header("x-acs-dingtalk-access-token", token);
        }
        let response = request.json(body).send().await.map_err(text)?;
        let status = response.status().as_u16();
        Ok((status, response.json().await.map_err(text)?))
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        self.call(Method::POST, path, token, body).await
    }

    /// A GET without a body.
    pub(crate) async fn get(&self, url: &str) -> Result<Response, String> {
        self.http.get(url).send().await.map_err(text)
    }

    /// The access token of an app.
    pub(crate) async fn token_of(&self, app: &App) -> Result<String, String> {
        let body = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
        let (_, answer) = self.post("/v1.0/oauth2/accessToken", None, &body).await?;
        let token = answer["accessToken"].as_str();
        token.map(str::to_owned).ok_or_else(|| format!("no accessToken, but {answer}"))
    }

    pub(crate) async fn token(&self) -> Result<String, String> {
        self.token_of(&self.app).await
    }

    /// Sends a text to a person by the robot API.
    pub(crate) async fn batch_send(&self, token: &str) -> Result<(u16, Value), String> {
        let body = json!({
            "robotCode": self.app.robot_code(), "userIds": ["user0001"],
            "msgKey": "sampleText", "msgParam": "{\"content\":\"hi\"}",
        });
        self.post("/v1.0/robot/oToMessages/batchSend", Some(token), &body).await
    }

    /// `URL?ticket=…` for one connection.
    pub(crate) async fn ticket_of(&self, app: &App, topic: &str) -> Result<String, String> {
        let body = json!({
            "clientId": app.client_id(), "clientSecret": app.client_secret(),
            "subscriptions": [
                {"type": "EVENT", "topic": "*"}, {"type": "CALLBACK", "topic": topic},
            ],
        });
        let (_, answer) = self.post("/v1.0/gateway/connections/open", None, &body).await?;
        match (answer["endpoint"].as_str(), answer["ticket"].as_str()) {
            (Some(endpoint), Some(ticket)) => Ok(format!("{endpoint}?ticket={ticket}")),
            _ => Err(format!("no ticket, but {answer}")),
        }
    }

    pub(crate) async fn ticket(&self) -> Result<String, String> {
        self.ticket_of(&self.app, ROBOT).await
    }

    /// A new connection of an app, as soon as the mock knows it.
    pub(crate) async fn bot_of(&self, app: &App, topic: &str) -> Result<Bot, String> {
        let known = app.connections().map_err(text)?.len();
        let url = self.ticket_of(app, topic).await?;
        let (socket, _) = tokio_tungstenite::connect_async(url).await.map_err(text)?;
        let rows = app
            .wait_for_connections("one more", |rows| {
                let open = |row: &mock_dingtalk::ConnectionRow| {
                    row.state == mock_dingtalk::ConnectionState::Open
                };
                (rows.len() > known && rows.last().is_some_and(open)).then(|| rows.to_vec())
            })
            .await
            .map_err(text)?;
        let id = rows.last().map(|row| row.connection_id.clone()).unwrap_or_default();
        Ok(Bot { socket, id })
    }

    pub(crate) async fn bot(&self) -> Result<Bot, String> {
        self.bot_of(&self.app, ROBOT).await
    }

    /// The next frame of a connection, or its end.
    pub(crate) async fn next(&self, bot: &mut Bot) -> Result<Option<Value>, String> {
        loop {
            let next = tokio::time::timeout(self.patience, bot.socket.next()).await;
            match next.map_err(|_| "nothing came, and the connection did not end".to_owned())? {
                Some(Ok(Message::Text(frame))) => {
                    return serde_json::from_str(frame.as_str()).map(Some).map_err(text);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return Ok(None),
            }
        }
    }

    /// The next frame of a type.
    pub(crate) async fn frame(&self, bot: &mut Bot, kind: &str) -> Result<Value, String> {
        loop {
            match self.next(bot).await? {
                Some(frame) if frame["type"] == kind => return Ok(frame),
                Some(_) => {}
                None => return Err(format!("the connection ended before a {kind} frame")),
            }
        }
    }

    /// All frames of a type that were pushed so far and not read yet.
    pub(crate) async fn frames(&self, bot: &mut Bot, kind: &str) -> Result<Vec<Value>, String> {
        self.app.push_raw_to(&bot.id, SENTINEL).map_err(text)?;
        let mut frames = Vec::new();
        loop {
            match self.next(bot).await? {
                Some(frame) if frame["type"] == "SENTINEL" => return Ok(frames),
                Some(frame) if frame["type"] == kind => frames.push(frame),
                Some(_) => {}
                None => return Err("the connection ended".to_owned()),
            }
        }
    }

    /// Waits until this many pushes are answered.
    pub(crate) async fn acked(&self, count: usize) -> Result<mock_dingtalk::DeliveryRow, String> {
        let rows = self.app.wait_acked_within(count, self.patience).await.map_err(text)?;
        rows.last().cloned().ok_or_else(|| "there is no delivery".to_owned())
    }
}

impl Bot {
    /// Answers a frame.
    pub(crate) async fn ack(&mut self, frame: &Value) -> Result<(), String> {
        self.answer(frame, r#"{"response":null}"#).await
    }

    /// The same with other data.
    pub(crate) async fn answer(&mut self, frame: &Value, data: &str) -> Result<(), String> {
        let headers = json!({
            "messageId": frame["headers"]["messageId"], "contentType": "application/json",
        });
        let answer = json!({"code": 200, "headers": headers, "message": "OK", "data": data});
        self.socket.send(Message::text(answer.to_string())).await.map_err(text)
    }
}

/// The JSON inside `data`.
pub(crate) fn data(frame: &Value) -> Value {
    serde_json::from_str(frame["data"].as_str().unwrap_or_default()).unwrap_or_default()
}
