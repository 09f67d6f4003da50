//! The running gateway of a state directory, asked over its agent link.

use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::exit_code::{ExitCode, Failure};
use crate::link::{ADDRESS, SOCKET};
use crate::redact::Secret;
use crate::tls;

/// A gateway that has not answered by then is not well.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whom to ask.
pub(super) struct Running {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

impl Running {
    /// The gateway's socket, or the loopback port that it uses where there can be none.
    pub(super) fn of(state_dir: &Path) -> Result<Self, Failure> {
        let socket = state_dir.join(SOCKET);
        if socket.exists() {
            let base = Url::parse("http://agent").expect("it is a URL");
            return Ok(Self { http: built(client().unix_socket(socket))?, base, token: None });
        }
        let file = state_dir.join(ADDRESS);
        let text = std::fs::read_to_string(&file).map_err(|e| {
            let problem = if e.kind() == io::ErrorKind::NotFound {
                format!(
                    "no gateway runs with the state directory {}; start it, or name its directory with \
                     --state-dir",
                    state_dir.display()
                )
            } else {
                format!("{} cannot be read: {e}; ask as the gateway's user", file.display())
            };
            Failure::new(ExitCode::Failed, problem)
        })?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let base = value["url"].as_str().and_then(|url| Url::parse(url).ok());
        let (Some(base), Some(token)) = (base, value["token"].as_str()) else {
            let problem = format!("{} tells no address; start the gateway again", file.display());
            return Err(Failure::new(ExitCode::Failed, problem));
        };
        Ok(Self { http: built(client())?, base, token: Some(Secret::new(token)) })
    }

    /// Another address, which wants no token.
    pub(super) fn at(base: Url) -> Result<Self, Failure> {
        Ok(Self { http: built(client())?, base, token: None })
    }

    /// Asks; returns whatever JSON is answered.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Value), Failure> {
        let mut url = self.base.clone();
        url.set_path(path);
        let mut request = self.http.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let broken = |e: reqwest::Error| {
            let cause = if e.is_timeout() { "it takes too long" } else { "nobody answers" };
            let problem = format!("the gateway is not well: {cause}; start it, or see its log");
            Failure::new(ExitCode::Failed, problem)
        };
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(broken)?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured((*tls::no_trust()).clone())
        .no_proxy()
        .timeout(PATIENCE)
}

fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Failure> {
    builder.build().map_err(|e| Failure::new(ExitCode::Failed, format!("cannot ask: {e}")))
}
