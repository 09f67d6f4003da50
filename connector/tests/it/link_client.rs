//! A client of the agent link, as little as a test needs.

use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::support::{PATIENCE, World};

/// Where the program listens.
#[derive(Clone)]
pub(crate) struct Link(PathBuf);

impl Link {
    pub(crate) fn of(world: &World) -> Self {
        Self(world.dir.path().join("ddingtalk/agent.sock"))
    }

    /// Whether its socket is there.
    pub(crate) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Connects as soon as somebody listens.
    async fn connect(&self) -> UnixStream {
        let connected = async {
            loop {
                match UnixStream::connect(&self.0).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        };
        timeout(PATIENCE, connected).await.expect("the program listens")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_raw(path, body.to_string().as_bytes()).await.expect("the program answers")
    }

    /// `None` when the program goes away meanwhile.
    pub(crate) async fn post_raw(&self, path: &str, body: &[u8]) -> Option<(u16, Value)> {
        self.request(&format!("POST {path}"), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.request(&format!("GET {path}"), b"").await.expect("the program answers")
    }

    async fn request(&self, line: &str, body: &[u8]) -> Option<(u16, Value)> {
        let mut stream = self.connect().await;
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        // A body that is too large is not read to its end.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.expect("the program answers in time").ok()?;
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.get(9..12)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, serde_json::from_str(body).unwrap()))
    }

    /// One event of a turn.
    pub(crate) async fn event(&self, turn: &Value, event: &Value) -> (u16, Value) {
        self.post(&Self::events(turn), event).await
    }

    pub(crate) fn events(turn: &Value) -> String {
        format!("/v1/agent/turns/{}/events", turn["id"].as_str().expect("a turn has an id"))
    }

    /// Attaches; the first line has been read.
    pub(crate) async fn attach(&self) -> Turns {
        let mut stream = self.connect().await;
        stream.write_all(b"GET /v1/agent/turns HTTP/1.1\r\nhost: agent\r\n\r\n").await.unwrap();
        let mut turns = Turns(BufReader::new(stream));
        assert_eq!(turns.next().await.expect("a first line")["type"], "attached");
        turns
    }
}

/// The lines that an attached agent gets.
pub(crate) struct Turns(BufReader<UnixStream>);

impl Turns {
    /// The next line; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.0.read_line(&mut line)).await;
            // An agent's line is one chunk: what is between them is HTTP's.
            match read.expect("a line in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "0\r\n" => return None,
                Ok(_) if line.starts_with('{') => {
                    return Some(serde_json::from_str(&line).unwrap());
                }
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn turn(&mut self) -> Value {
        let line = self.next().await.expect("a turn");
        assert_eq!(line["type"], "turn", "{line}");
        line
    }
}
