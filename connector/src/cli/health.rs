//! `ddingtalk health`: one question to the running gateway, for health checks of containers and the like.

use std::path::PathBuf;

use serde_json::Value;
use url::Url;

use super::access::state_dir;
use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::link::client::LinkClient;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// State directory of the gateway, whose agent link is asked.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    state_dir: Option<PathBuf>,
    /// The gateway's --health-listen address, such as `http://127.0.0.1:9464`, instead.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    url: Option<Url>,
    /// Fail, too, while a robot is not connected.
    #[arg(long)]
    ready: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (link, alive, ready): (_, &[&str], &[&str]) = if let Some(base) = args.url {
        (LinkClient::at(base), &["healthz"], &["readyz"])
    } else {
        let link = LinkClient::open(&state_dir(args.state_dir)?)?;
        (link, &["v1", "health"], &["v1", "ready"])
    };
    let (status, value) = link.get(if args.ready { ready } else { alive }).await?;
    let unwell = |problem: String| Failure::new(ExitCode::Failed, problem);
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
    match (args.json, reasons.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => output::data("alive and ready"),
        (false, false) => output::data(&format!("alive, not ready: {}", reasons.join("; "))),
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        _ => Err("is no http:// URL; give one such as http://127.0.0.1:9464".to_owned()),
    }
}
