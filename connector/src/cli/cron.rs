//! `ddingtalk cron`: what is sent at given times, through the running gateway.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::exit_code::{ExitCode, Failure};
use super::link::LinkArgs;
use super::message::words;
use super::output::{self, printable, time};
use crate::schedule::{Missed, Timing, TimingError, Zone};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send words, or what the agent answers, once or again and again.
    Add(Box<Add>),
    /// All schedules.
    List(Common),
    /// Forget one, with its history.
    Remove(One),
    /// Run one now, whether it is due or not; waits for its end.
    Run(One),
    /// What became of the newest runs of one, newest first.
    History(History),
    /// Switch one on again; what it missed is not made up.
    Enable(One),
    /// Switch one off.
    Disable(One),
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    when: When,
    /// Time zone of --cron and --at, such as Asia/Shanghai [default: the gateway's].
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    tz: Option<String>,
    /// STAFFID, user:STAFFID or chat:OPENCONVERSATIONID.
    #[arg(long, value_name = "TARGET")]
    to: String,
    #[command(flatten)]
    what: What,
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What becomes of runs whose time passed while no gateway ran.
    #[arg(long, value_enum, default_value = "once")]
    missed: Missed,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct When {
    /// Again and again after this time, such as 1h.
    #[arg(long, value_name = "TIME")]
    every: Option<String>,
    /// Minute, hour, day of month, month and day of week, such as "0 9 * * 1-5".
    #[arg(long, value_name = "PATTERN")]
    cron: Option<String>,
    /// Once: 2026-12-01T09:00, 2026-12-01T09:00+08:00, or from now on, such as 20m.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl When {
    /// A time that is none is named before anybody is asked. Whether it is past the gateway knows, by its own
    /// clock and zone.
    fn check(&self, tz: Option<&str>) -> Result<(), Failure> {
        let Self { every, cron, at } = self;
        let read = || -> Result<(), TimingError> {
            let zone = Zone::named(tz)?;
            every.as_deref().map(|text| Timing::every(text, 0)).transpose()?;
            cron.as_deref().map(|text| Timing::cron(text, &zone)).transpose()?;
            at.as_deref().map(|text| Timing::at(text, &zone, 0)).transpose()?;
            Ok(())
        };
        read().map_err(|e| Failure::new(ExitCode::Usage, format!("--{e}")))
    }
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Words, as Markdown; - reads them from stdin.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// What the agent is asked, each time in a session of its own; what it answers is sent.
    #[arg(long, value_name = "PROMPT")]
    agent: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Print JSON; times are milliseconds since 1970 UTC.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    link: LinkArgs,
}

#[derive(Debug, clap::Args)]
struct One {
    /// Number of the schedule, as `cron list` has it.
    #[arg(value_name = "ID")]
    id: i64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct History {
    /// Number of the schedule, as `cron list` has it.
    #[arg(value_name = "ID")]
    id: i64,
    /// The newest N runs; the last 100 are kept.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Add(args) => add(*args).await,
        Verb::List(common) => list(common).await,
        Verb::Remove(one) => {
            let (_, json) = ask(&one, Method::DELETE, None).await?;
            if json {
                output::data(&json!({ "id": one.id, "status": "removed" }).to_string())
            } else {
                output::data(&format!("removed: {}", one.id))
            }
        }
        Verb::Run(one) => run_now(one).await,
        Verb::History(args) => history(args).await,
        Verb::Enable(one) => switch(one, "enable").await,
        Verb::Disable(one) => switch(one, "disable").await,
    }
}

async fn add(args: Add) -> Result<(), Failure> {
    let Add { when, tz, to, what, name, missed, common } = args;
    when.check(tz.as_deref())?;
    let text = what.text.map(|given| words(given, "--text")).transpose()?;
    let (link, client_id) = common.link.robot().await?;
    let missed = serde_json::to_value(missed).unwrap_or_default();
    let fields = [
        ("every", when.every.map(Value::from)),
        ("cron", when.cron.map(Value::from)),
        ("at", when.at.map(Value::from)),
        ("tz", tz.map(Value::from)),
        ("to", Some(to.into())),
        ("text", text.map(Value::from)),
        ("agent", what.agent.map(Value::from)),
        ("name", name.map(Value::from)),
        ("missed", Some(missed)),
        ("clientId", Some(client_id.into())),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let body = Value::Object(fields.collect::<Map<_, _>>());
    let answer = link.call(Method::POST, &["schedules"], Some(&body)).await?;
    print(&answer["schedule"], common.json)
}

async fn list(common: Common) -> Result<(), Failure> {
    let (link, client_id) = common.link.robot().await?;
    let query = [("clientId", client_id.as_str())];
    let answer = link.ask(Method::GET, &["schedules"], &query, None).await?;
    let rows = &answer["schedules"];
    if common.json {
        return output::data(&json!({ "schedules": rows }).to_string());
    }
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        output::note("nothing is scheduled");
    }
    rows.iter().try_for_each(|row| print(row, false))
}

async fn switch(one: One, verb: &str) -> Result<(), Failure> {
    let (answer, json) = ask(&one, Method::POST, Some(verb)).await?;
    print(&answer["schedule"], json)
}

async fn run_now(one: One) -> Result<(), Failure> {
    let (answer, json) = ask(&one, Method::POST, Some("run")).await?;
    let run = &answer["run"];
    if json {
        output::data(&run.to_string())?;
    } else {
        output::data(&run_line(run))?;
    }
    if run["status"] == "done" {
        if let Some(detail) = run["detail"].as_str() {
            output::note(&format!("schedule {}: {detail}, so that nothing was sent", one.id));
        }
        return Ok(());
    }
    let reason = run["detail"].as_str().unwrap_or("it did not end well");
    Err(Failure::new(ExitCode::Failed, format!("schedule {} failed: {reason}", one.id)))
}

async fn history(History { id, limit, common }: History) -> Result<(), Failure> {
    let (link, client_id) = common.link.robot().await?;
    let limit = limit.to_string();
    let query = [("clientId", client_id.as_str()), ("limit", &limit)];
    let path = ["schedules", &id.to_string(), "runs"];
    let answer = link.ask(Method::GET, &path, &query, None).await?;
    if common.json {
        return output::data(&json!({ "runs": answer["runs"] }).to_string());
    }
    let runs = answer["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if runs.is_empty() {
        output::note("it has not run yet");
    }
    runs.iter().try_for_each(|run| output::data(&run_line(run)))
}

/// A call about one schedule; returns the answer, and whether JSON is wanted.
async fn ask(one: &One, method: Method, verb: Option<&str>) -> Result<(Value, bool), Failure> {
    let (link, client_id) = one.common.link.robot().await?;
    let id = one.id.to_string();
    let path: Vec<_> = ["schedules", &id].into_iter().chain(verb).collect();
    let answer = link.ask(method, &path, &[("clientId", &client_id)], None).await?;
    Ok((answer, one.common.json))
}

fn print(row: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::data(&row.to_string());
    }
    let text = |name: &str| printable(row[name].as_str().unwrap_or_default());
    let next = match row["nextAt"].as_i64() {
        Some(next) => format!("next {}", time(next)),
        None if row["enabled"] == true => "over".to_owned(),
        None => "disabled".to_owned(),
    };
    let (kind, words) = match row["agent"].as_str() {
        Some(prompt) => ("agent", prompt),
        None => ("text", row["text"].as_str().unwrap_or_default()),
    };
    let name = row["name"].as_str().map(|name| format!("  {}", printable(name)));
    output::data(&format!(
        "{}  {next}  {}  {}  {kind}: {}{}",
        row["id"],
        text("when"),
        text("to"),
        output::excerpt(words),
        name.unwrap_or_default(),
    ))
}

fn run_line(run: &Value) -> String {
    let at = |name: &str| run[name].as_i64().map_or("-".to_owned(), |at| time(at).to_string());
    let status = run["status"].as_str().unwrap_or("?");
    let detail = run["detail"].as_str().map(|detail| format!("  {}", printable(detail)));
    format!(
        "{status:<7}  due {}  begun {}  ended {}{}",
        at("dueAt"),
        at("begunAt"),
        at("endedAt"),
        detail.unwrap_or_default(),
    )
}
