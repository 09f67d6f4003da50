//! `mock-dingtalk healthcheck`: for containers.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::Value;
use url::Url;

use super::{client::Client, exit_code::Exit};

/// Exit with 0 if a mock takes calls, with 1 if not.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// The mock's URL.
    #[arg(long, env = "MOCK_DINGTALK_URL", required_unless_present = "ready_file")]
    url: Option<Url>,
    /// The ready file that `serve` wrote, which has the URL.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    ready_file: Option<PathBuf>,
}

impl Healthcheck {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let url = match (self.url, self.ready_file) {
            (Some(url), _) => url,
            (None, Some(path)) => read(&path)?,
            (None, None) => return Err(Exit::usage("give --url or --ready-file".to_owned())),
        };
        let client = Client::to(&url)?;
        let answer = client.get(client.at(&["ready"])).await;
        match answer.map_err(|error| Exit::from(error).into_failure())? {
            answer if answer["ok"] == true => Ok(ExitCode::SUCCESS),
            _ => Err(Exit::failed(format!("{url} is no mock-dingtalk"))),
        }
    }
}

fn read(path: &std::path::Path) -> Result<Url, Exit> {
    let failed = |why: String| {
        Exit::failed(format!("no mock is ready: the ready file {} {why}", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let ready: Value =
        serde_json::from_slice(&text).map_err(|error| failed(format!("is none: {error}")))?;
    let url = ready["url"].as_str().and_then(|url| Url::parse(url).ok());
    url.ok_or_else(|| failed("names no URL".to_owned()))
}
