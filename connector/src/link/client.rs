//! The other end of the link: what the command line asks a running gateway.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::listener::{ADDRESS, SOCKET};
use crate::redact::Secret;
use crate::tls;

/// Speaks with the gateway of one state directory.
#[derive(Debug)]
pub struct LinkClient {
    http: reqwest::Client,
    base: String,
    token: Option<Secret>,
}

/// The gateway cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nobody listens: neither socket nor address is there.
    #[error(
        "no gateway listens in {}; start one with `ddingtalk gateway`, or name its directory with \
         --state-dir",
        .0.display()
    )]
    NotThere(PathBuf),
    /// The address file cannot be used.
    #[error("{} cannot be used: {problem}; restart the gateway, which writes it", .file.display())]
    Address {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It was asked, and no answer came.
    #[error("the gateway does not answer on {address}: {reason}; see `ddingtalk logs`")]
    NoAnswer {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
}

impl LinkClient {
    /// Finds the link of a state directory: the socket, or the address that stands in its place.
    pub fn open(state_dir: &Path) -> Result<Self, LinkError> {
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls::no_trust()).clone())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        let socket = state_dir.join(SOCKET);
        let (base, token) = if socket.exists() {
            http = http.unix_socket(socket.as_path());
            ("http://agent".to_owned(), None)
        } else {
            let (url, token) = address(state_dir)?;
            (url, Some(token))
        };
        let http = http.build().expect("a rustls configuration and constants build a client");
        Ok(Self { http, base, token })
    }

    /// GETs; HTTP status and answer.
    pub async fn get(&self, path: &str) -> Result<(u16, Value), LinkError> {
        self.ask(self.http.get(self.url(path)).timeout(Duration::from_secs(10))).await
    }

    /// POSTs JSON; HTTP status and answer, which may take as long as `patience`.
    pub async fn post(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<(u16, Value), LinkError> {
        self.ask(self.http.post(self.url(path)).json(body).timeout(patience)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value), LinkError> {
        let no_answer = |e: &dyn std::error::Error| {
            let mut reason = e.to_string();
            let mut source = e.source();
            while let Some(cause) = source {
                reason = format!("{reason}: {cause}");
                source = cause.source();
            }
            LinkError::NoAnswer { address: self.base.clone(), reason }
        };
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let response = request.send().await.map_err(|e| no_answer(&e))?;
        let status = response.status().as_u16();
        let body = response.json().await.map_err(|e| no_answer(&e))?;
        Ok((status, body))
    }
}

/// URL and token that a gateway without a socket has written.
fn address(state_dir: &Path) -> Result<(String, Secret), LinkError> {
    let file = state_dir.join(ADDRESS);
    let text = match std::fs::read_to_string(&file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(LinkError::NotThere(state_dir.to_owned()));
        }
        Err(e) => return Err(LinkError::Address { file, problem: e.to_string() }),
        Ok(text) => text,
    };
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    if let (Some(url), Some(token)) = (value["url"].as_str(), value["token"].as_str()) {
        return Ok((url.to_owned(), Secret::new(token)));
    }
    Err(LinkError::Address { file, problem: "it has no url and token".to_owned() })
}
