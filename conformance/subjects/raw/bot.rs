//! The bot: one connection at a time, one frame after the other.

use std::collections::HashSet;
use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, WebSocket};

use crate::Cli;
use crate::http;
use crate::reply::{Question, Replies};
use crate::way::Way;

const ROBOT: &str = "/v1.0/im/bot/messages/get";
/// A silence of this length is asked about with a ping; one of twice the length is an end.
const SILENCE: Duration = Duration::from_secs(5);
/// The pause after the second failure in a row; it doubles up to 16 times that.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a broken one keeps back what it owes, unless another frame comes before.
const QUIET: Duration = Duration::from_millis(100);

type Socket = WebSocket<TcpStream>;

#[derive(Debug)]
pub(crate) struct Bot {
    cli: Cli,
    replies: Replies,
    /// What was answered: `msgId`s.
    known: HashSet<String>,
    /// EVENTs that were put off: `eventId`s.
    put_off: HashSet<String>,
    /// What a broken one keeps back.
    owed: Owed,
}

#[derive(Debug, Default)]
struct Owed {
    acks: Vec<String>,
    answers: Vec<Question>,
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
    pub(crate) fn new(cli: Cli) -> Self {
        let replies = Replies::new(cli.clone());
        Self { cli, replies, known: HashSet::new(), put_off: HashSet::new(), owed: Owed::default() }
    }

    /// Connects again and again.
    pub(crate) fn run(&mut self) {
        // Kept until the next one stands: the server ends it by itself.
        let mut announced = None;
        let mut failures = 0;
        loop {
            let Ok(mut socket) = self.open() else {
                failures += 1;
                self.pause(PAUSE * (1 << failures.min(4)));
                continue;
            };
            drop(announced.take());
            let (leave, heard) = self.serve(&mut socket);
            match leave {
                Leave::Dies => return,
                Leave::Announced => announced = Some(socket),
                Leave::Ended => self.owed.acks.clear(),
            }
            while self.cli.is(Way::NoReconnect) {
                thread::park();
            }
            if heard {
                failures = 0;
            } else {
                failures += 1;
                self.pause(PAUSE * (1 << failures.min(4)) / 2);
            }
        }
    }

    fn pause(&self, pause: Duration) {
        if !self.cli.is(Way::Storm) {
            thread::sleep(pause);
        }
    }

    fn open(&self) -> io::Result<Socket> {
        let ask = json!({
            "clientId": self.cli.client_id,
            "clientSecret": self.cli.client_secret,
            "ua": "raw-bot-rust/0.1.0",
            "subscriptions": [
                { "type": "EVENT", "topic": "*" },
                { "type": "CALLBACK", "topic": ROBOT },
            ],
        });
        let url = format!("{}/v1.0/gateway/connections/open", self.cli.endpoint);
        let answer = http::post(&url, &ask)?;
        let (Some(endpoint), Some(ticket)) =
            (answer["endpoint"].as_str(), answer["ticket"].as_str())
        else {
            return Err(io::Error::other("no endpoint and ticket"));
        };
        let (stream, _, _) = http::connect(endpoint)?;
        let (mut socket, _) = tungstenite::client(format!("{endpoint}?ticket={ticket}"), stream)
            .map_err(|error| io::Error::other(error.to_string()))?;
        socket.get_mut().set_read_timeout(Some(self.breath()))?;
        Ok(socket)
    }

    /// How long it reads before it looks up.
    fn breath(&self) -> Duration {
        if self.cli.broken.is_some_and(Way::keeps_back) { QUIET } else { SILENCE }
    }

    /// Reads until the end, and says whether anything came.
    fn serve(&mut self, socket: &mut Socket) -> (Leave, bool) {
        let (mut heard, mut asked, mut silent) = (false, false, Duration::ZERO);
        loop {
            let message = match socket.read() {
                Ok(message) => message,
                Err(tungstenite::Error::Io(error))
                    if is_quiet(&error) && silent + self.breath() < 2 * SILENCE =>
                {
                    self.settle(socket);
                    silent += self.breath();
                    if silent >= SILENCE && !asked {
                        asked = true;
                        // If the connection is gone, the next read says so.
                        let _ = socket.send(Message::Ping(Bytes::new()));
                    }
                    continue;
                }
                Err(_) => {
                    self.answer_owed();
                    return (Leave::Ended, heard);
                }
            };
            (asked, silent) = (false, Duration::ZERO);
            let Message::Text(text) = message else { continue };
            heard = true;
            let Ok(frame) = serde_json::from_str::<Value>(text.as_str()) else {
                if self.cli.is(Way::DiesOnNonJson) {
                    return (Leave::Dies, heard);
                }
                continue;
            };
            let topic = frame["headers"]["topic"].as_str().unwrap_or_default();
            match (frame["type"].as_str(), topic) {
                (Some("SYSTEM"), "disconnect") if !self.cli.is(Way::DeafAfterDisconnect) => {
                    self.answer_owed();
                    return (Leave::Announced, heard);
                }
                (Some("SYSTEM"), "ping") => {
                    ack(socket, &frame, frame["data"].as_str().unwrap_or("{}"));
                }
                (Some("EVENT"), _) => ack(socket, &frame, self.event(&frame)),
                (Some("CALLBACK"), ROBOT) => self.robot_message(socket, &frame),
                (Some("CALLBACK"), _) => ack(socket, &frame, r#"{"response":null}"#),
                _ => {}
            }
        }
    }

    /// One that asks for it is put off once: it has `later` in its data.
    fn event(&mut self, frame: &Value) -> &'static str {
        let data = frame["data"].as_str().unwrap_or_default();
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let id = frame["headers"]["eventId"].as_str().unwrap_or_default();
        let first = self.put_off.insert(id.to_owned()) || self.cli.is(Way::AlwaysLater);
        if data.get("later").is_some() && first {
            return r#"{"status":"LATER"}"#;
        }
        r#"{"status":"SUCCESS"}"#
    }

    fn robot_message(&mut self, socket: &mut Socket, frame: &Value) {
        let data = frame["data"].as_str().unwrap_or_default();
        let question: Question = serde_json::from_str(data).unwrap_or_default();
        self.ack_message(socket, frame, &question);
        let id = match self.cli.broken {
            Some(Way::DedupeByFrameId) => &frame["headers"]["messageId"],
            _ => &question["msgId"],
        };
        let Some(id) = id.as_str() else { return };
        if !self.known.insert(id.to_owned()) {
            return;
        }
        match self.cli.broken {
            Some(Way::DropsOrder) => self.owed.answers.push(question),
            Some(Way::AnswersTwice) => {
                self.replies.answer(&question);
                self.replies.answer(&question);
            }
            _ => self.replies.answer(&question),
        }
    }

    fn ack_message(&mut self, socket: &mut Socket, frame: &Value, question: &Question) {
        let right = answer_to(&frame["headers"]["messageId"], r#"{"response":null}"#);
        let Some(right) = right else { return };
        match self.cli.broken {
            Some(Way::NoAck) => {}
            Some(Way::WrongId) => {
                let wrong = answer_to(&question["msgId"], r#"{"response":null}"#);
                send(socket, wrong.unwrap_or(right));
            }
            Some(Way::DoubleAck) => {
                send(socket, right.clone());
                send(socket, right);
            }
            Some(Way::AckElsewhere) => self.owed.acks.push(right),
            _ => send(socket, right),
        }
    }

    /// Nothing came for a while: what was kept back goes out.
    fn settle(&mut self, socket: &mut Socket) {
        for ack in std::mem::take(&mut self.owed.acks) {
            send(socket, ack);
        }
        self.answer_owed();
    }

    /// The last question is answered first.
    fn answer_owed(&mut self) {
        while let Some(question) = self.owed.answers.pop() {
            self.replies.answer(&question);
        }
    }
}

/// Whether a read ended because nothing came, and not because the connection ended.
fn is_quiet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Answers a frame.
fn ack(socket: &mut Socket, frame: &Value, data: &str) {
    if let Some(answer) = answer_to(&frame["headers"]["messageId"], data) {
        send(socket, answer);
    }
}

fn answer_to(id: &Value, data: &str) -> Option<String> {
    let headers = json!({ "messageId": id.as_str()?, "contentType": "application/json" });
    let answer = json!({ "code": 200, "headers": headers, "message": "OK", "data": data });
    Some(answer.to_string())
}

/// If the connection is gone, the next read says so.
fn send(socket: &mut Socket, answer: String) {
    let _ = socket.send(Message::text(answer));
}
