//! Asks the running gateway, over the agent link of its state directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::access::state_dir;
use super::exit_code::{ExitCode, Failure};
use crate::link::{ADDRESS, SOCKET};
use crate::redact::Secret;
use crate::tls;

/// A push to a thousand people, each call of which is tried a few times, takes so long at most.
const PATIENCE: Duration = Duration::from_secs(600);

/// Which gateway is asked, and for which of its robots.
#[derive(Debug, clap::Args)]
pub(super) struct LinkArgs {
    /// Account of the config file; needed where the gateway runs several.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// State directory of the gateway.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl LinkArgs {
    /// Finds the running gateway.
    pub(super) fn open(&self) -> Result<LinkClient, Failure> {
        LinkClient::open(&state_dir(self.state_dir.clone())?)
    }

    /// Finds the running gateway, and the `clientId` of the robot that is meant.
    pub(super) async fn robot(&self) -> Result<(LinkClient, String), Failure> {
        let link = self.open()?;
        let status = link.call(Method::GET, &["status"], None).await?;
        let robots = status["robots"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |robot: &&Value| {
            self.account.as_deref().is_none_or(|name| robot["account"].as_str() == Some(name))
        };
        let mut found = robots.iter().filter(named);
        if let (Some(robot), None) = (found.next(), found.next())
            && let Some(client_id) = robot["clientId"].as_str()
        {
            return Ok((link, client_id.to_owned()));
        }
        let names: Vec<_> = robots.iter().filter_map(|robot| robot["account"].as_str()).collect();
        let given = self.account.as_ref().map_or("missing".to_owned(), |name| format!("{name:?}"));
        let problem = format!("--account is {given}; give one of {}", names.join(", "));
        Err(Failure::new(ExitCode::Failed, problem))
    }
}

/// A gateway that runs.
#[derive(Debug)]
pub(super) struct LinkClient {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    state_dir: PathBuf,
}

/// What stands in the file that tells of a loopback port.
#[derive(Deserialize)]
struct Address {
    url: String,
    token: String,
}

impl LinkClient {
    fn open(state_dir: &Path) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls::no_trust()).clone())
            .no_proxy()
            .timeout(PATIENCE);
        let socket = state_dir.join(SOCKET);
        let (http, base, token) = if socket.exists() {
            let base = Url::parse("http://agent/").expect("it is a URL");
            (http.unix_socket(socket), base, None)
        } else {
            let file = state_dir.join(ADDRESS);
            let text = match std::fs::read_to_string(&file) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(nobody(state_dir)),
                text => text.map_err(|e| unusable(&file, &e.to_string()))?,
            };
            let Address { url, token } =
                serde_json::from_str(&text).map_err(|e| unusable(&file, &e.to_string()))?;
            let base = Url::parse(&url).map_err(|e| unusable(&file, &e.to_string()))?;
            (http, base, Some(Secret::new(token)))
        };
        let http = http.build().map_err(|e| Failure::new(ExitCode::Failed, e.to_string()))?;
        Ok(Self { http, base, token, state_dir: state_dir.to_owned() })
    }

    /// Calls `/v1/` and `path`, each of its segments escaped; returns the answer, or fails with the gateway's
    /// reason.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.ask(method, path, &[], body).await
    }

    /// As [`call`](Self::call), with a query.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = match request.send().await {
            Err(e) if e.is_connect() => return Err(nobody(&self.state_dir)),
            Err(e) => return Err(broken(&e)),
            Ok(answer) => answer,
        };
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|e| broken(&e))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status == StatusCode::OK && value.is_object() {
            return Ok(value);
        }
        let problem = value["error"].as_str().map_or_else(
            || format!("the gateway answered HTTP {status}; is it of another release?"),
            str::to_owned,
        );
        Err(Failure::new(ExitCode::Failed, problem))
    }
}

fn nobody(state_dir: &Path) -> Failure {
    let problem = format!(
        "no gateway runs with the state directory {}; start `ddingtalk gateway`, or name its directory with \
         --state-dir",
        state_dir.display()
    );
    Failure::new(ExitCode::NoGateway, problem)
}

fn unusable(file: &Path, problem: &str) -> Failure {
    let problem = format!(
        "{} does not tell where the gateway listens: {problem}; start the gateway again",
        file.display()
    );
    Failure::new(ExitCode::StateDirectory, problem)
}

fn broken(e: &reqwest::Error) -> Failure {
    let cause = if e.is_timeout() { "it takes too long" } else { "it broke off" };
    let problem =
        format!("no answer from the gateway: {cause}; it may have done it, and its log says so");
    Failure::new(ExitCode::Failed, problem)
}
