//! `ddingtalk gateway restart`: a new process takes the place of the running one, with the same program, arguments,
//! environment and output. Messages arrive all the time; neither a terminal nor a supervisor nor a container
//! notices.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Which, not_running};
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::output;
use crate::cli::times::duration;
use crate::link::client::LinkClient;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// How long it may take until the new process is connected; else the running one goes on.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    timeout: Duration,
    /// Print JSON; times are milliseconds.
    #[arg(long)]
    json: bool,
}

/// From the new process's connections to its work, at most: then the running one has given it up.
const CHANGES_HANDS: Duration = Duration::from_secs(45);

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (dir, holder) = args.which.holder()?;
    if holder.is_none() {
        return Err(not_running(&dir));
    }
    let link = LinkClient::open(&dir)?;
    let path = ["v1", "restart"];
    let wanted =
        json!({ "timeoutMs": u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX) });
    let patience = args.timeout + CHANGES_HANDS;
    let (code, told) = link.ask(Method::POST, &path, &[], Some(&wanted), patience).await?;
    if code == 200 {
        return output::data(&if args.json { told.to_string() } else { readable(&told) });
    }
    if args.json {
        output::data(&json!({ "v": 1, "restarted": false, "error": told["error"] }).to_string())?;
    }
    let why = told["error"].as_str().unwrap_or("it did not say why");
    let exit_code = told["exitCode"].as_u64().and_then(|code| u8::try_from(code).ok());
    let exit_code = exit_code.map_or(ExitCode::Failed, ExitCode::of);
    Err(Failure::new(exit_code, format!("the gateway goes on as it is: {why}")))
}

/// What happened, for a person.
fn readable(told: &Value) -> String {
    let ms = |name: &str| told[name].as_i64();
    let mut out = format!("restarted: pid {} (was {})", told["pid"], told["was"]);
    match (ms("gapMs"), ms("overlapMs")) {
        (Some(0), overlap) => {
            let overlap = overlap.unwrap_or(0);
            let _ = write!(out, "\nDingTalk: no gap, both were connected for {overlap} ms");
        }
        (Some(gap), _) => {
            let _ = write!(out, "\nDingTalk: a gap of {gap} ms");
        }
        (None, _) => out.push_str("\nDingTalk: no robot was connected before"),
    }
    if let Some(waited) = ms("waitedMs") {
        let _ = write!(out, "; messages waited for at most {waited} ms");
    }
    if let Some(gap) = ms("agentsGapMs") {
        let _ = write!(out, "\nagents: a gap of {gap} ms");
    }
    if let Some(gap) = ms("healthGapMs") {
        let _ = write!(out, "\nhealth checks: a gap of {gap} ms");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_in_words() {
        let mut told = json!({
            "pid": 8, "was": 7, "gapMs": 0, "overlapMs": 12, "waitedMs": 90, "agentsGapMs": 0,
            "healthGapMs": 3,
        });
        insta::assert_snapshot!(readable(&told), @r"
        restarted: pid 8 (was 7)
        DingTalk: no gap, both were connected for 12 ms; messages waited for at most 90 ms
        agents: a gap of 0 ms
        health checks: a gap of 3 ms
        ");
        told["gapMs"] = 40.into();
        assert!(readable(&told).contains("DingTalk: a gap of 40 ms;"));
        for name in ["gapMs", "waitedMs", "healthGapMs"] {
            told[name] = Value::Null;
        }
        assert!(readable(&told).ends_with("no robot was connected before\nagents: a gap of 0 ms"));
    }
}
