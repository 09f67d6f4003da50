//! `ddingtalk health`: one question to the running gateway, for health checks of containers and the like.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::access::state_dir;
use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::link::{ADDRESS, SOCKET};
use crate::redact::Secret;
use crate::tls;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// State directory of the gateway, whose agent link is asked.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    state_dir: Option<PathBuf>,
    /// The gateway's --health-listen address, such as http://127.0.0.1:9464, instead.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    url: Option<Url>,
    /// Fail, too, while a robot is not connected.
    #[arg(long)]
    ready: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A gateway that has not answered by then is not well.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let Asked { http, url, token } = match &args.url {
        Some(base) => Asked::probes(base, args.ready)?,
        None => Asked::link(&state_dir(args.state_dir.clone())?, args.ready)?,
    };
    let mut request = http.get(url);
    if let Some(token) = &token {
        request = request.bearer_auth(token.expose());
    }
    let unwell = |problem: String| Failure::new(ExitCode::Failed, problem);
    let broken = |e: reqwest::Error| {
        let cause = if e.is_timeout() { "it takes too long" } else { "nobody answers" };
        unwell(format!("the gateway is not well: {cause}; start it, or see its log"))
    };
    let answer = request.send().await.map_err(broken)?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(broken)?;
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let Some(ok) = value["ok"].as_bool() else {
        return Err(unwell(format!(
            "HTTP {status} is no answer of a gateway; is it of another release?"
        )));
    };
    if args.json {
        output::data(&value.to_string())?;
    }
    let reasons = value["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reasons: Vec<_> = reasons.iter().filter_map(Value::as_str).collect();
    if !ok {
        return Err(unwell(format!("the gateway is not well: {}", reasons.join("; "))));
    }
    if args.json {
        return Ok(());
    }
    if reasons.is_empty() {
        output::data("alive and ready")
    } else {
        output::data(&format!("alive, not ready: {}", reasons.join("; ")))
    }
}

/// Who is asked what.
struct Asked {
    http: reqwest::Client,
    url: Url,
    token: Option<Secret>,
}

impl Asked {
    fn probes(base: &Url, ready: bool) -> Result<Self, Failure> {
        let mut url = base.clone();
        url.set_path(if ready { "/readyz" } else { "/healthz" });
        Ok(Self { http: built(client())?, url, token: None })
    }

    /// The socket, or the loopback port that is used where there can be none.
    fn link(state_dir: &Path, ready: bool) -> Result<Self, Failure> {
        let path = if ready { "/v1/ready" } else { "/v1/health" };
        let socket = state_dir.join(SOCKET);
        if socket.exists() {
            let url = Url::parse("http://agent").and_then(|url| url.join(path));
            let url = url.expect("it is a URL");
            return Ok(Self { http: built(client().unix_socket(socket))?, url, token: None });
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
        let url = value["url"].as_str().and_then(|url| Url::parse(url).ok()?.join(path).ok());
        let (Some(url), Some(token)) = (url, value["token"].as_str()) else {
            let problem = format!("{} tells no address; start the gateway again", file.display());
            return Err(Failure::new(ExitCode::Failed, problem));
        };
        Ok(Self { http: built(client())?, url, token: Some(Secret::new(token)) })
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

fn base_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        _ => Err("is no http:// URL; give one such as http://127.0.0.1:9464".to_owned()),
    }
}
