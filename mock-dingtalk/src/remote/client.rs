//! Control calls.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpStream;
use url::Url;

/// The whole exchange may take so long, beside what it is asked to wait.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is at most what a mock keeps of one app.
const MAX_ANSWER: usize = 256 << 20;
/// One event of a stream: an entry's bodies are cut at 64 KiB, and JSON may write a byte as six.
const MAX_EVENT: usize = 2 << 20;

/// Why a control call came to nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is no URL of a mock.
    #[error("`{0}` is no mock's URL: http://HOST:PORT")]
    BadUrl(Url),
    /// Nobody answers there.
    #[error(
        "no mock answers at {url}: {why}; is it running? `mock-dingtalk serve --listen \
         ADDRESS:PORT` starts one"
    )]
    Unreachable {
        /// The mock's URL.
        url: Url,
        /// What happened instead.
        why: String,
    },
    /// The mock does not do it.
    #[error("{url} refused: {message}{}", hint(*.status))]
    Refused {
        /// The mock's URL.
        url: Url,
        /// The status of its answer.
        status: u16,
        /// What it says.
        message: String,
    },
    /// Something else than a mock answers.
    #[error("{0}: is it a mock?")]
    NoMock(String),
    /// The mock's certificate cannot be kept on this machine.
    #[error("cannot write the mock's certificate into the temporary folder")]
    Certificate(#[source] std::io::Error),
}

fn hint(status: u16) -> &'static str {
    if status == StatusCode::UNAUTHORIZED.as_u16() { "; give it with --admin-token" } else { "" }
}

/// What is sent along.
#[derive(Debug)]
struct Payload {
    kind: &'static str,
    bytes: Bytes,
}

/// Makes control calls to a mock that runs elsewhere.
#[derive(Debug, Clone)]
pub struct ControlClient {
    url: Url,
    address: String,
    token: Option<String>,
}

impl ControlClient {
    /// To the mock at this URL, without a token.
    pub fn to(url: &Url) -> Result<Self, ControlError> {
        let (Some(host), "http") = (url.host_str(), url.scheme()) else {
            return Err(ControlError::BadUrl(url.clone()));
        };
        let address = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        Ok(Self { url: url.clone(), address, token: None })
    }

    /// The same with the admin token of a mock that wants one.
    #[must_use]
    pub fn with_token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    /// The mock's URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The URL of a control call, by the segments after `/_mock`.
    pub fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_path("");
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("_mock").extend(segments);
        }
        url
    }

    /// A `GET` that is answered with JSON.
    pub async fn get(&self, url: Url) -> Result<Value, ControlError> {
        self.wait(url, Duration::ZERO).await
    }

    /// A `GET` that the mock answers after up to `wait`.
    pub async fn wait(&self, url: Url, wait: Duration) -> Result<Value, ControlError> {
        json(&self.exchange("GET", &url, None, wait).await?)
    }

    /// A `POST` of JSON.
    pub async fn post(&self, url: Url, body: &Value) -> Result<Value, ControlError> {
        let payload = Payload { kind: "application/json", bytes: body.to_string().into() };
        json(&self.exchange("POST", &url, Some(payload), Duration::ZERO).await?)
    }

    /// A `POST` of bytes that are no JSON.
    pub async fn post_bytes(&self, url: &Url, bytes: Bytes) -> Result<Value, ControlError> {
        let payload = Payload { kind: "application/octet-stream", bytes };
        json(&self.exchange("POST", url, Some(payload), Duration::ZERO).await?)
    }

    /// A `DELETE`.
    pub async fn delete(&self, url: Url) -> Result<(), ControlError> {
        self.exchange("DELETE", &url, None, Duration::ZERO).await.map(|_| ())
    }

    /// The bytes that a `GET` is answered with.
    pub async fn bytes(&self, url: &Url) -> Result<Bytes, ControlError> {
        self.exchange("GET", url, None, Duration::ZERO).await
    }

    /// The answer's body, if it is a good one.
    async fn exchange(
        &self,
        method: &'static str,
        url: &Url,
        body: Option<Payload>,
        wait: Duration,
    ) -> Result<Bytes, ControlError> {
        let patience = TIMEOUT.saturating_add(wait);
        let exchange = async {
            let response = self.send(method, url, body).await?;
            let status = response.status();
            let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER).await?;
            anyhow::Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(patience, exchange)
            .await
            .map_err(|_| self.unreachable(format!("nothing within {} s", patience.as_secs())))?
            .map_err(|error| self.unreachable(format!("{error:#}")))?;
        self.check(status, &body)?;
        Ok(body)
    }

    /// Reads server-sent events. `opened` is told when they begin to come; then `each` gets the data
    /// of every event named `entry`, until the mock ends the stream.
    pub async fn events<E: From<ControlError>>(
        &self,
        url: &Url,
        opened: impl AsyncFnOnce() -> Result<(), E>,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let opening = tokio::time::timeout(TIMEOUT, self.send("GET", url, None));
        let response = opening
            .await
            .map_err(|_| self.unreachable("nothing came".to_owned()))?
            .map_err(|error| self.unreachable(format!("{error:#}")))?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER).await;
            return Ok(self.check(status, &body.unwrap_or_default())?);
        }
        opened().await?;
        let mut chunks = Body::new(response.into_body()).into_data_stream();
        let mut pending: Vec<u8> = Vec::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = pending.drain(..end + 2).collect();
                if let Some(data) = entry_of(&String::from_utf8_lossy(&event)) {
                    each(&data)?;
                }
            }
            if pending.len() > MAX_EVENT {
                return Err(
                    ControlError::NoMock(format!("{} sends what is no event", self.url)).into()
                );
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        method: &'static str,
        url: &Url,
        body: Option<Payload>,
    ) -> anyhow::Result<hyper::Response<hyper::body::Incoming>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let target = &url[url::Position::BeforePath..];
        let mut request =
            Request::builder().method(method).uri(target).header(header::HOST, &self.address);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(Payload { kind, bytes }) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Body::from(bytes)
            }
            None => Body::empty(),
        };
        Ok(sender.send_request(request.body(body)?).await?)
    }

    fn check(&self, status: StatusCode, body: &[u8]) -> Result<(), ControlError> {
        if status.is_success() {
            return Ok(());
        }
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = error["error"]["message"].as_str().unwrap_or("it is no mock-dingtalk");
        let (url, message) = (self.url.clone(), message.to_owned());
        Err(ControlError::Refused { url, status: status.as_u16(), message })
    }

    fn unreachable(&self, why: String) -> ControlError {
        ControlError::Unreachable { url: self.url.clone(), why }
    }
}

fn json(body: &[u8]) -> Result<Value, ControlError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body)
        .map_err(|error| ControlError::NoMock(format!("the answer is not JSON ({error})")))
}

/// The data of an event named `entry`.
fn entry_of(event: &str) -> Option<String> {
    let named = event.lines().any(|line| line == "event: entry");
    let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    named.then(|| data.join("\n"))
}
