//! The other end of the link: what the command line asks a running gateway.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::listener::{ADDRESS, SOCKET};
use crate::redact::Secret;
use crate::tls;

/// Speaks with the gateway of one state directory.
#[derive(Debug)]
pub struct LinkClient {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    /// Whose gateway it is, if it was found there.
    state_dir: Option<PathBuf>,
}

/// The gateway cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nobody listens: neither socket nor address is there, or they are those of a gateway that is gone.
    #[error(
        "no gateway runs with the state directory {}; start one with `ddingtalk gateway`, or name its \
         directory with --state-dir",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The address file cannot be used.
    #[error(
        "{} does not tell where the gateway listens: {problem}; start the gateway again, which writes it",
        .file.display()
    )]
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

/// What stands in the file that tells of a loopback port.
#[derive(Deserialize)]
struct Address {
    url: String,
    token: String,
}

/// For questions that are answered at once.
const QUICK: Duration = Duration::from_secs(10);

impl LinkClient {
    /// Finds the link of a state directory: the socket, or the address that stands in its place.
    pub fn open(state_dir: &Path) -> Result<Self, LinkError> {
        let socket = state_dir.join(SOCKET);
        let (http, base, token) = if socket.exists() {
            let base = Url::parse("http://agent/").expect("it is a URL");
            (plain().unix_socket(socket.as_path()), base, None)
        } else {
            let (url, token) = address(state_dir)?;
            (plain(), url, Some(token))
        };
        Ok(Self { http: built(http), base, token, state_dir: Some(state_dir.to_owned()) })
    }

    /// Another address, which wants no token.
    pub fn at(base: Url) -> Self {
        Self { http: built(plain()), base, token: None, state_dir: None }
    }

    /// GETs; HTTP status and answer.
    pub async fn get(&self, path: &[&str]) -> Result<(u16, Value), LinkError> {
        self.ask(Method::GET, path, &[], None, QUICK).await
    }

    /// POSTs JSON; HTTP status and answer.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<(u16, Value), LinkError> {
        self.ask(Method::POST, path, &[], Some(body), QUICK).await
    }

    /// Calls `path`, each of its segments escaped; HTTP status and answer, which may take as long as
    /// `patience`.
    pub async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<(u16, Value), LinkError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).timeout(patience);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|e| self.failed(&e))?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|e| self.failed(&e))?;
        // Whoever reads a value that it does not hold says what was expected.
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    fn failed(&self, e: &reqwest::Error) -> LinkError {
        let reason = match &self.state_dir {
            Some(dir) if e.is_connect() => return LinkError::NotRunning(dir.clone()),
            None if e.is_connect() => "nobody listens there",
            _ if e.is_timeout() => "it takes too long",
            _ => "it broke off",
        };
        LinkError::NoAnswer { address: self.base.to_string(), reason: reason.to_owned() }
    }
}

fn plain() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured((*tls::no_trust()).clone())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
}

fn built(http: reqwest::ClientBuilder) -> reqwest::Client {
    http.build().expect("a rustls configuration and constants build a client")
}

/// URL and token that a gateway without a socket has written.
fn address(state_dir: &Path) -> Result<(Url, Secret), LinkError> {
    let file = state_dir.join(ADDRESS);
    let unusable = |problem: String| LinkError::Address { file: file.clone(), problem };
    let text = match std::fs::read_to_string(&file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(LinkError::NotRunning(state_dir.to_owned()));
        }
        text => text.map_err(|e| unusable(e.to_string()))?,
    };
    let Address { url, token } =
        serde_json::from_str(&text).map_err(|e| unusable(e.to_string()))?;
    let url = Url::parse(&url).map_err(|e| unusable(e.to_string()))?;
    Ok((url, Secret::new(token)))
}
