//! Calls to an OpenAI-compatible endpoint.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};
use url::{Host, Url};

use super::body::Body;
use super::completion::{Completion, Reader};
use super::error::ModelError;
use super::settings::{OpenAiConfig, Times};
use crate::agent::Speaker;
use crate::backoff::Backoff;
use crate::redact::Secret;

/// A client for one endpoint.
#[derive(Debug)]
pub(super) struct ModelClient {
    http: reqwest::Client,
    base_url: Url,
    api_key: Option<Secret>,
    times: Times,
    /// The endpoint refuses `stream_options`.
    no_stream_options: AtomicBool,
}

/// Tries of a call that has not begun to be answered, the first included.
const TRIES: u32 = 4;
/// A server that asks for more patience than this is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), LONGEST_PAUSE);
/// Words so far are shown no more often.
const PARTIAL_EVERY: Duration = Duration::from_millis(100);
/// Limit for the list of models, and for how an error is explained, in bytes.
const MAX_BODY: usize = 4 << 20;

impl ModelClient {
    pub(super) fn new(config: &OpenAiConfig) -> Self {
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured((*config.tls).clone())
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.times.connect)
            .tcp_nodelay(true)
            .user_agent(concat!("ddingtalk/", env!("CARGO_PKG_VERSION")));
        // A proxy of the network's knows nothing of a model on this machine.
        if !config.system_proxy || is_local(&config.base_url) {
            http = http.no_proxy();
        }
        Self {
            http: http.build().expect("a rustls configuration and constants build a client"),
            base_url: config.base_url.clone(),
            api_key: config.api_key.clone(),
            times: config.times,
            no_stream_options: AtomicBool::new(false),
        }
    }

    /// Host of the endpoint.
    pub(super) fn host(&self) -> String {
        self.base_url.host_str().unwrap_or_default().to_owned()
    }

    /// `POST /chat/completions`, streamed: the words so far are shown to the `audience` as they come.
    pub(super) async fn complete(
        &self,
        body: Value,
        audience: Option<&mut Audience<'_>>,
    ) -> Result<Completion, ModelError> {
        let answered = async {
            let response = self.begin(body).await?;
            self.read(response, audience).await
        };
        let limit = self.times.total;
        timeout(limit, answered).await.unwrap_or_else(|_| Err(self.silent("all of it", limit)))
    }

    /// `GET /models`: their ids, in order.
    pub(super) async fn models(&self) -> Result<Vec<String>, ModelError> {
        let listed = async {
            let response = self.send(self.http.get(self.url("models"))).await?;
            let body = self.whole(response).await?;
            let list: Value = serde_json::from_slice(&body)
                .map_err(|e| self.odd(format!("a list of models that is no JSON ({e})")))?;
            let ids = list["data"].as_array().map(|models| {
                models.iter().filter_map(|model| model["id"].as_str()).map(str::to_owned)
            });
            let mut ids: Vec<_> =
                ids.ok_or_else(|| self.odd("a list of models without data".to_owned()))?.collect();
            ids.sort_unstable();
            ids.dedup();
            Ok(ids)
        };
        let limit = self.times.idle;
        timeout(limit, listed).await.unwrap_or_else(|_| Err(self.silent("the models", limit)))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}/{path}", self.base_url.path()));
        url
    }

    /// Asks for the tokens used, too, unless the endpoint takes no such question.
    async fn begin(&self, mut body: Value) -> Result<Response, ModelError> {
        if self.no_stream_options.load(Ordering::Relaxed) {
            return self.patiently(&body).await;
        }
        body["stream_options"] = json!({ "include_usage": true });
        let asked = self.patiently(&body).await;
        let Err(ModelError::Status { status: 400 | 422, message, .. }) = &asked else {
            return asked;
        };
        if let Some(body) = body.as_object_mut() {
            body.remove("stream_options");
        }
        let bare = self.patiently(&body).await;
        if bare.is_ok() {
            info!(
                "the endpoint refuses stream_options, and is not asked for tokens again: {message}"
            );
            self.no_stream_options.store(true, Ordering::Relaxed);
        }
        bare
    }

    /// Asks again what certainly was not begun to be answered.
    async fn patiently(&self, body: &Value) -> Result<Response, ModelError> {
        let mut tries = 1;
        loop {
            let request = self.http.post(self.url("chat/completions")).json(body);
            let e = match self.send(request).await {
                Ok(response) => return Ok(response),
                Err(e) => e,
            };
            let Some(asked) = e.retry().filter(|_| tries < TRIES) else { return Err(e) };
            warn!(tries, "the model is asked again: {e}");
            let pause = BACKOFF.delay(tries - 1, rand::random());
            tokio::time::sleep(pause.max(asked.min(LONGEST_PAUSE))).await;
            tries += 1;
        }
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Result<Response, ModelError> {
        if let Some(key) = &self.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| self.odd("no chance: the key is no header value".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let limit = self.times.first;
        let response = timeout(limit, request.send())
            .await
            .map_err(|_| self.silent("an answer's beginning", limit))?
            .map_err(|e| self.failed(e))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        // What cannot be read explains nothing, and the status is known.
        let body = timeout(self.times.idle, self.whole(response)).await;
        let body = body.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_default();
        let message = self.explain(&body);
        Err(ModelError::Status { host: self.host(), status, message, retry_after })
    }

    async fn read(
        &self,
        mut response: Response,
        audience: Option<&mut Audience<'_>>,
    ) -> Result<Completion, ModelError> {
        let (mut body, mut reader) = (Body::default(), Reader::default());
        let (mut limit, mut heard) = (self.times.first, Instant::now());
        let mut partials = Partials { audience, shown: None, waiting: false };
        while !reader.is_done() {
            let due = partials.due();
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or(heard)), if due.is_some() => {
                    partials.show(&mut reader).await;
                }
                piece = response.chunk() => {
                    let Some(piece) = piece.map_err(|e| self.failed(e))? else { break };
                    (limit, heard) = (self.times.idle, Instant::now());
                    body.push(&piece, &mut reader).map_err(|e| self.located(e))?;
                    partials.waiting = true;
                }
                () = sleep_until(heard + limit) => {
                    return Err(self.silent("the rest of an answer", limit));
                }
            }
        }
        body.end(&mut reader).map_err(|e| self.located(e))?;
        reader.end().map_err(|e| self.located(e))
    }

    async fn whole(&self, mut response: Response) -> Result<Vec<u8>, ModelError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.failed(e))? {
            if body.len() + piece.len() > MAX_BODY {
                return Err(self.odd(format!("a body of more than {MAX_BODY} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// What the server says about a failure, on one line and without the key.
    fn explain(&self, body: &[u8]) -> String {
        const CHARACTERS: usize = 300;
        let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let message = super::completion::error_message(&json["error"])
            .or_else(|| json["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let message = match &self.api_key {
            Some(key) => message.replace(key.expose(), "***"),
            None => message,
        };
        message.chars().take(CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    fn located(&self, e: super::completion::Problem) -> ModelError {
        use super::completion::Problem;
        match e {
            Problem::InStream(message) => {
                let message = self.explain(message.as_bytes());
                ModelError::InStream { host: self.host(), message }
            }
            Problem::Odd(problem) => self.odd(problem),
            Problem::Empty { finish_reason } => {
                ModelError::Empty { finish_reason: self.explain(finish_reason.as_bytes()) }
            }
            Problem::TooLong { limit } => ModelError::TooLong { limit },
        }
    }

    fn failed(&self, e: reqwest::Error) -> ModelError {
        let (connect, e) = (e.is_connect(), e.without_url());
        let mut reason = e.to_string();
        let mut cause = std::error::Error::source(&e);
        while let Some(e) = cause {
            reason = e.to_string();
            cause = e.source();
        }
        let host = self.host();
        if connect {
            ModelError::Unreachable { host, reason }
        } else {
            ModelError::BrokeOff { host, reason }
        }
    }

    fn odd(&self, problem: String) -> ModelError {
        ModelError::Incomprehensible { host: self.host(), problem }
    }

    fn silent(&self, what: &'static str, limit: Duration) -> ModelError {
        ModelError::Silent { host: self.host(), what, limit }
    }
}

/// Who reads an answer as it comes.
pub(super) struct Audience<'a> {
    pub(super) speaker: &'a Speaker,
    /// The words so far that were shown.
    pub(super) has_read: String,
}

/// Shows words so far: the newest, and none too often. Those that came too soon have their turn though
/// nothing follows them.
struct Partials<'a, 'b> {
    audience: Option<&'a mut Audience<'b>>,
    shown: Option<Instant>,
    /// There may be newer words.
    waiting: bool,
}

impl Partials<'_, '_> {
    /// When words that wait are to be shown.
    fn due(&self) -> Option<Instant> {
        if !self.waiting || self.audience.is_none() {
            return None;
        }
        Some(self.shown.map_or_else(Instant::now, |at| at + PARTIAL_EVERY))
    }

    async fn show(&mut self, reader: &mut Reader) {
        self.waiting = false;
        if let (Some(audience), Some(words)) = (&mut self.audience, reader.news()) {
            audience.has_read.clone_from(&words);
            audience.speaker.partial(words).await;
            self.shown = Some(Instant::now());
        }
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
