//! `ddingtalk gateway status`: what the running gateway says of itself.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Which, not_running};
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::output;
use crate::link::client::{LinkClient, LinkError};
use crate::state_dir::Holder;
use crate::unix_time::now_ms;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (dir, holder) = args.which.holder()?;
    let Some(holder) = holder else {
        if args.json {
            output::data(&json!({ "v": 1, "running": false, "stateDir": dir }).to_string())?;
        }
        return Err(not_running(&dir));
    };
    let mut status = match ask(&dir, holder).await {
        Ok(status) => status,
        Err(e) => {
            if args.json {
                output::data(&unanswered(&dir, holder, &e).to_string())?;
            }
            return Err(e);
        }
    };
    status["running"] = true.into();
    output::data(&if args.json { status.to_string() } else { readable(&status, now_ms()) })?;
    let problems: Vec<_> = [
        ("not connected", names(&status, |robot| robot["stream"] != "connected")),
        ("without its database", names(&status, |robot| robot["databaseAway"].is_object())),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(problem, names)| format!("{problem}: {names}"))
    .collect();
    if problems.is_empty() {
        return Ok(());
    }
    let message =
        format!("{}; `ddingtalk logs` says why, and it goes on trying", problems.join("; "));
    Err(Failure::new(ExitCode::NotConnected, message))
}

/// The accounts of robots of which something is true.
fn names(status: &Value, is_so: impl Fn(&Value) -> bool) -> String {
    let names: Vec<_> =
        rows(status).filter(|robot| is_so(robot)).map(|robot| text(robot, "account")).collect();
    names.join(", ")
}

async fn ask(dir: &Path, holder: Holder) -> Result<Value, Failure> {
    let unlinked = |e: LinkError| match e {
        LinkError::NotRunning(_) => {
            let pid = holder.pid.map_or("unknown".to_owned(), |pid| pid.to_string());
            let message = format!(
                "the gateway (pid {pid}) does not listen: it starts or stops; try again in a moment, or see \
                 `ddingtalk logs`"
            );
            Failure::new(ExitCode::NotConnected, message)
        }
        e => e.into(),
    };
    let link = LinkClient::open(dir).map_err(unlinked)?;
    let (code, status) = link.get(&["v1", "status"]).await.map_err(unlinked)?;
    if code == 200 && status.is_object() {
        return Ok(status);
    }
    let message = format!("the gateway answers its status with HTTP {code}; restart it");
    Err(Failure::new(ExitCode::NotConnected, message))
}

fn unanswered(dir: &Path, holder: Holder, e: &Failure) -> Value {
    json!({
        "v": 1, "running": true, "stateDir": dir, "process": { "pid": holder.pid },
        "problem": e.to_string(),
    })
}

fn rows(status: &Value) -> impl Iterator<Item = &Value> {
    status["robots"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("?")
}

/// The status for a person.
fn readable(status: &Value, now: i64) -> String {
    let process = &status["process"];
    let since = |at: &Value| span(now.saturating_sub(at.as_i64().unwrap_or(now)));
    let mut out = format!(
        "running: pid {}, {}, ddingtalk {}{}\nstate: {} (database {})\n",
        process["pid"],
        since(&process["startedAt"]),
        text(status, "version"),
        if process["systemd"] == true { ", under systemd" } else { "" },
        text(process, "stateDir"),
        match process["store"]["address"].as_str() {
            Some(address) => address.to_owned(),
            None =>
                format!("{} KiB", process["store"]["bytes"].as_u64().unwrap_or(0).div_ceil(1024)),
        },
    );
    for (key, name) in [("config", "config"), ("log", "log")] {
        if let Some(path) = process[key].as_str() {
            let _ = writeln!(out, "{name}: {path}");
        }
    }
    for robot in rows(status) {
        out.push_str(&one(robot, now, &since));
    }
    out.truncate(out.trim_end().len());
    out
}

fn one(robot: &Value, now: i64, since: &dyn Fn(&Value) -> String) -> String {
    let (account, client_id) = (text(robot, "account"), text(robot, "clientId"));
    if let Some(problem) = robot["problem"].as_str() {
        return format!("{account} ({client_id}): down: {problem}\n");
    }
    let ago = |key: &str| {
        let ms = robot[key].as_i64();
        ms.map_or("never".to_owned(), |ms| format!("{} ago", span(ms)))
    };
    let mut out = format!(
        "{account} ({client_id}, agent {}): {}, {}\n  pong {}, last frame {}, frames {}, opens {}\n  \
         queue: {} waiting, {} running; calls: {} a second, {} this month, {} refused{}\n",
        text(robot, "agent"),
        text(robot, "stream"),
        since(&robot["streamSince"]),
        ago("pongAgoMs"),
        ago("frameAgoMs"),
        robot["frames"],
        robot["opens"],
        robot["queue"]["waiting"],
        robot["queue"]["running"],
        robot["calls"]["perSecond"],
        robot["calls"]["thisMonth"],
        robot["calls"]["refused"],
        if robot["calls"]["strained"] == true { ", strained" } else { "" },
    );
    if let Some(times) = robot["deaf"]["times"].as_u64().filter(|times| *times > 0) {
        let time = span(robot["deaf"]["ms"].as_i64().unwrap_or(0));
        let _ = writeln!(out, "  no message could arrive: {times} times, {time} in all");
    }
    let replicas = &robot["replicas"];
    if replicas.is_object() {
        let here = if replicas["leads"] == true { "here" } else { "elsewhere" };
        let _ = writeln!(
            out,
            "  replicas: {} live, {} of {} buckets here, schedules run {here}",
            replicas["live"], replicas["buckets"], replicas["bucketsInAll"],
        );
    }
    let away = &robot["databaseAway"];
    if away.is_object() {
        let _ = writeln!(
            out,
            "  the database is away for {}, so that nothing is acked: {}",
            since(&away["since"]),
            text(away, "reason"),
        );
    }
    if let Some(lacks) = robot["lacks"].as_str() {
        let _ = writeln!(out, "  {lacks}");
    }
    for past in robot["reconnects"].as_array().into_iter().flatten() {
        let at = u64::try_from(past["at"].as_i64().unwrap_or(now)).unwrap_or(0);
        let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(at));
        let _ = writeln!(out, "  {at} {}", text(past, "reason"));
    }
    out
}

/// A time in words; below a minute by the second.
fn span(ms: i64) -> String {
    let seconds = u64::try_from(ms).unwrap_or(0) / 1_000;
    let rounded = if seconds < 60 { seconds } else { seconds / 60 * 60 };
    humantime::format_duration(Duration::from_secs(rounded)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_readable() {
        let status = json!({
            "version": "1.2.3",
            "process": {
                "pid": 7, "startedAt": 0, "stateDir": "/s", "config": "/c.json", "log": null,
                "systemd": true, "store": { "file": "/s/x", "bytes": 4097 },
            },
            "robots": [
                {
                    "account": "default", "clientId": "dingA", "agent": "echo", "stream": "connected",
                    "streamSince": 86_400_000, "pongAgoMs": 1_500, "frameAgoMs": null, "frames": 3,
                    "opens": 2, "queue": { "waiting": 1, "running": 2 },
                    "calls": { "perSecond": 20, "strained": false, "thisMonth": 5, "refused": 0 },
                    "deaf": { "times": 2, "ms": 61_000 },
                    "reconnects": [{ "at": 60_000, "reason": "closed with 1006" }],
                    "replicas": { "live": 3, "buckets": 21, "bucketsInAll": 64, "leads": true },
                    "databaseAway": { "since": 90_059_000, "reason": "no route to host" },
                },
                { "account": "sales", "clientId": "dingB", "stream": "down", "problem": "no disk" },
            ],
        });
        insta::assert_snapshot!(readable(&status, 90_061_000), @r"
        running: pid 7, 1day 1h 1m, ddingtalk 1.2.3, under systemd
        state: /s (database 5 KiB)
        config: /c.json
        default (dingA, agent echo): connected, 1h 1m
          pong 1s ago, last frame never, frames 3, opens 2
          queue: 1 waiting, 2 running; calls: 20 a second, 5 this month, 0 refused
          no message could arrive: 2 times, 1m in all
          replicas: 3 live, 21 of 64 buckets here, schedules run here
          the database is away for 2s, so that nothing is acked: no route to host
          1970-01-01T00:01:00Z closed with 1006
        sales (dingB): down: no disk
        ");
    }
}
