//! Control calls to a mock that runs elsewhere.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use clap::Args;
use futures_util::StreamExt as _;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use super::exit_code::Exit;

/// Which mock.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The mock's URL, as in its ready line.
    #[arg(long, env = "MOCK_DINGTALK_URL", global = true)]
    url: Option<Url>,
    /// The admin token of a mock that wants one.
    #[arg(long, value_name = "TOKEN", env = "MOCK_DINGTALK_ADMIN_TOKEN", hide_env_values = true)]
    #[arg(global = true)]
    admin_token: Option<String>,
}

/// Which app of which mock.
#[derive(Debug, Args)]
pub(super) struct OfApp {
    #[command(flatten)]
    target: Target,
    /// `clientId` of the app; may be left out when the mock has only one.
    #[arg(long, alias = "client-id", value_name = "ID", env = "DINGTALK_CLIENT_ID", global = true)]
    app: Option<String>,
}

/// The whole exchange may take so long, beside what it is asked to wait.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is at most what a mock keeps of one app.
const MAX_ANSWER: usize = 256 << 20;
/// One event of a stream: an entry's bodies are cut at 64 KiB, and JSON may write a byte as six.
const MAX_EVENT: usize = 2 << 20;

impl Target {
    pub(super) fn client(&self) -> Result<Client, Exit> {
        let Some(url) = &self.url else {
            return Err(Exit::usage(
                "which mock? Give --url http://HOST:PORT or set MOCK_DINGTALK_URL; `mock-dingtalk \
                 serve` starts one and prints its URL"
                    .to_owned(),
            ));
        };
        Ok(Client { token: self.admin_token.clone(), ..Client::to(url)? })
    }
}

impl OfApp {
    /// The mock alone.
    pub(super) fn mock(&self) -> Result<Client, Exit> {
        self.target.client()
    }

    /// The mock, and the app's `clientId`.
    pub(super) async fn find(&self) -> Result<(Client, String), Exit> {
        let client = self.target.client()?;
        if let Some(id) = &self.app {
            return Ok((client, id.clone()));
        }
        let apps = client.get(client.at(&["apps"])).await?;
        let ids: Vec<&str> = apps
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|app| app["clientId"].as_str())
            .collect();
        match ids.as_slice() {
            [id] => Ok((client, (*id).to_owned())),
            [] => Err(Exit::failed(format!(
                "the mock at {} has no app; `mock-dingtalk apps mint` makes one",
                client.url
            ))),
            many => Err(Exit::usage(format!(
                "which app? The mock has {}; choose one with --app",
                many.join(", ")
            ))),
        }
    }
}

/// What is sent along.
#[derive(Debug)]
pub(super) struct Payload {
    kind: &'static str,
    bytes: Bytes,
}

impl Payload {
    fn json(body: &Value) -> Self {
        Self { kind: "application/json", bytes: body.to_string().into() }
    }
}

/// Makes control calls.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) url: Url,
    address: String,
    token: Option<String>,
}

impl Client {
    /// To the mock at this URL, without a token.
    pub(super) fn to(url: &Url) -> Result<Self, Exit> {
        let (Some(host), "http") = (url.host_str(), url.scheme()) else {
            return Err(Exit::usage(format!("`{url}` is no mock's URL: http://HOST:PORT")));
        };
        let address = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        Ok(Self { url: url.clone(), address, token: None })
    }

    /// The URL of a control call, by the segments after `/_mock`.
    pub(super) fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_path("");
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("_mock").extend(segments);
        }
        url
    }

    pub(super) async fn get(&self, url: Url) -> Result<Value, Exit> {
        json(&self.text(Method::GET, &url, None, Duration::ZERO).await?)
    }

    /// A `GET` that the mock answers after up to `wait`.
    pub(super) async fn wait(&self, url: Url, wait: Duration) -> Result<Value, Exit> {
        json(&self.text(Method::GET, &url, None, wait).await?)
    }

    pub(super) async fn post(&self, url: Url, body: &Value) -> Result<Value, Exit> {
        json(&self.text(Method::POST, &url, Some(Payload::json(body)), Duration::ZERO).await?)
    }

    /// Posts bytes that are no JSON.
    pub(super) async fn post_bytes(&self, url: &Url, bytes: Bytes) -> Result<Value, Exit> {
        let payload = Payload { kind: "application/octet-stream", bytes };
        json(&self.text(Method::POST, url, Some(payload), Duration::ZERO).await?)
    }

    pub(super) async fn delete(&self, url: Url) -> Result<(), Exit> {
        self.text(Method::DELETE, &url, None, Duration::ZERO).await.map(|_| ())
    }

    /// The answer's body, if it is a good one.
    pub(super) async fn text(
        &self,
        method: Method,
        url: &Url,
        body: Option<Payload>,
        wait: Duration,
    ) -> Result<Bytes, Exit> {
        let patience = TIMEOUT.saturating_add(wait);
        let exchange = async {
            let response = self.send(method, url, body).await?;
            let status = response.status();
            let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER).await?;
            anyhow::Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(patience, exchange)
            .await
            .map_err(|_| self.unreachable(&format!("nothing within {} s", patience.as_secs())))?
            .map_err(|error| self.unreachable(&format!("{error:#}")))?;
        self.check(status, &body)?;
        Ok(body)
    }

    /// Reads server-sent events. `opened` is told when they begin to come; then `each` gets the data
    /// of every event named `entry`, until the mock ends the stream.
    pub(super) async fn events(
        &self,
        url: &Url,
        opened: impl AsyncFnOnce() -> Result<(), Exit>,
        mut each: impl FnMut(&str) -> Result<(), Exit>,
    ) -> Result<(), Exit> {
        let opening = tokio::time::timeout(TIMEOUT, self.send(Method::GET, url, None));
        let response = opening
            .await
            .map_err(|_| self.unreachable("nothing came"))?
            .map_err(|error| self.unreachable(&format!("{error:#}")))?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER).await;
            return self.check(status, &body.unwrap_or_default());
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
                return Err(Exit::failed(format!("{} sends what is no event", self.url)));
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
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

    fn check(&self, status: StatusCode, body: &[u8]) -> Result<(), Exit> {
        if status.is_success() {
            return Ok(());
        }
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = error["error"]["message"].as_str().unwrap_or("it is no mock-dingtalk");
        let hint = match status {
            StatusCode::UNAUTHORIZED => "; give it with --admin-token",
            _ => "",
        };
        Err(Exit::failed(format!("{} refused: {message}{hint}", self.url)))
    }

    fn unreachable(&self, why: &str) -> Exit {
        Exit::unavailable(format!(
            "no mock answers at {}: {why}; is it running? `mock-dingtalk serve --listen \
             ADDRESS:PORT` starts one",
            self.url
        ))
    }
}

fn json(body: &[u8]) -> Result<Value, Exit> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body)
        .map_err(|error| Exit::failed(format!("the answer is not JSON ({error}): is it a mock?")))
}

/// The data of an event named `entry`.
fn entry_of(event: &str) -> Option<String> {
    let named = event.lines().any(|line| line == "event: entry");
    let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    named.then(|| data.join("\n"))
}
