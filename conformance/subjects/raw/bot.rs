//! The bot: one connection at a time, one frame after the other.

use std::collections::HashSet;
use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, WebSocket};

use crate::http;
use crate::way::Way;

const ROBOT: &str = "/v1.0/im/bot/messages/get";
/// A silence of this length is asked about with a ping; one of twice the length is an end.
const SILENCE: Duration = Duration::from_secs(5);
/// The pause after the second failure in a row; it doubles up to 16 times that.
const PAUSE: Duration = Duration::from_millis(500);

type Socket = WebSocket<TcpStream>;

#[derive(Debug)]
pub(crate) struct Bot {
    client_id: String,
    client_secret: String,
    endpoint: String,
    broken: Option<Way>,
    /// What was answered: `msgId`s.
    known: HashSet<String>,
}

/// Why a connection is left.
enum Leave {
    /// It ended.
    Ended,
    /// The server said that it will end.
    Announced,
    /// The process ends.
    Dies,
}

impl Bot {
    pub(crate) fn new(id: String, secret: String, endpoint: String, broken: Option<Way>) -> Self {
        let (client_id, client_secret) = (id, secret);
        Self { client_id, client_secret, endpoint, broken, known: HashSet::new() }
    }

    /// Connects again and again.
    pub(crate) fn run(&mut self) {
        // Kept until the next one stands: the server ends it by itself.
        let mut announced = None;
        let mut failures = 0;
        loop {
            let Ok(mut socket) = self.open() else {
                failures += 1;
                thread::sleep(PAUSE * (1 << failures.min(4)));
                continue;
            };
            drop(announced.take());
            let (leave, heard) = self.serve(&mut socket);
            match leave {
                Leave::Dies => return,
                Leave::Announced => announced = Some(socket),
                Leave::Ended => {}
            }
            if heard {
                failures = 0;
            } else {
                failures += 1;
                thread::sleep(PAUSE * (1 << failures.min(4)) / 2);
            }
        }
    }

    fn open(&self) -> io::Result<Socket> {
        let ask = json!({
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "ua": "raw-bot-rust/0.1.0",
            "subscriptions": [
                { "type": "EVENT", "topic": "*" },
                { "type": "CALLBACK", "topic": ROBOT },
            ],
        });
        let url = format!("{}/v1.0/gateway/connections/open", self.endpoint);
        let answer = http::post(&url, &ask)?;
        let (Some(endpoint), Some(ticket)) =
            (answer["endpoint"].as_str(), answer["ticket"].as_str())
        else {
            return Err(io::Error::other("no endpoint and ticket"));
        };
        let (stream, _, _) = http::connect(endpoint)?;
        let (mut socket, _) = tungstenite::client(format!("{endpoint}?ticket={ticket}"), stream)
            .map_err(|error| io::Error::other(error.to_string()))?;
        socket.get_mut().set_read_timeout(Some(SILENCE))?;
        Ok(socket)
    }

    /// Reads until the end, and says whether anything came.
    fn serve(&mut self, socket: &mut Socket) -> (Leave, bool) {
        let (mut heard, mut asked) = (false, false);
        loop {
            let message = match socket.read() {
                Ok(message) => message,
                Err(tungstenite::Error::Io(error)) if is_silence(&error) && !asked => {
                    asked = true;
                    if socket.send(Message::Ping(Bytes::new())).is_err() {
                        return (Leave::Ended, heard);
                    }
                    continue;
                }
                Err(_) => return (Leave::Ended, heard),
            };
            asked = false;
            let Message::Text(text) = message else { continue };
            heard = true;
            let Ok(frame) = serde_json::from_str::<Value>(text.as_str()) else {
                if self.broken == Some(Way::DiesOnNonJson) {
                    return (Leave::Dies, heard);
                }
                continue;
            };
            let topic = frame["headers"]["topic"].as_str().unwrap_or_default();
            match (frame["type"].as_str(), topic) {
                (Some("SYSTEM"), "disconnect") if self.broken != Some(Way::DeafAfterDisconnect) => {
                    return (Leave::Announced, heard);
                }
                (Some("SYSTEM"), "ping") => {
                    ack(socket, &frame, frame["data"].as_str().unwrap_or("{}"));
                }
                (Some("EVENT"), _) => ack(socket, &frame, r#"{"status":"SUCCESS"}"#),
                (Some("CALLBACK"), ROBOT) => self.robot_message(socket, &frame),
                (Some("CALLBACK"), _) => ack(socket, &frame, r#"{"response":null}"#),
                _ => {}
            }
        }
    }

    fn robot_message(&mut self, socket: &mut Socket, frame: &Value) {
        let acks = match self.broken {
            Some(Way::NoAck) => 0,
            Some(Way::DoubleAck) => 2,
            _ => 1,
        };
        for _ in 0..acks {
            ack(socket, frame, r#"{"response":null}"#);
        }
        let data = frame["data"].as_str().unwrap_or_default();
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let id = match self.broken {
            Some(Way::DedupeByFrameId) => &frame["headers"]["messageId"],
            _ => &data["msgId"],
        };
        let (Some(id), Some(text), Some(webhook)) =
            (id.as_str(), data["text"]["content"].as_str(), data["sessionWebhook"].as_str())
        else {
            return;
        };
        if !self.known.insert(id.to_owned()) {
            return;
        }
        let answer = json!({ "msgtype": "text", "text": { "content": text } });
        for _ in 0..if self.broken == Some(Way::AnswersTwice) { 2 } else { 1 } {
            // It has no second way to answer.
            let _ = http::post(webhook, &answer);
        }
    }
}

/// Whether nothing came for a while.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Answers a frame. If the connection is gone, the next read says so.
fn ack(socket: &mut Socket, frame: &Value, data: &str) {
    let Some(id) = frame["headers"]["messageId"].as_str() else { return };
    let headers = json!({ "messageId": id, "contentType": "application/json" });
    let answer = json!({ "code": 200, "headers": headers, "message": "OK", "data": data });
    let _ = socket.send(Message::text(answer.to_string()));
}
