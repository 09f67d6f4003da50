//! `ddingtalk message`: messages that answer nothing, through the running gateway.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::exit_code::{ExitCode, Failure};
use super::link::{Link, LinkArgs};
use super::output;
use crate::gateway::push::Target;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send to people and groups; prints what became of it for each of them.
    Send(Send),
    /// Take messages back, within 24 h.
    Recall(Recall),
    /// Who has read a message, within 24 h.
    Read(ReadBy),
}

#[derive(Debug, clap::Args)]
struct Send {
    /// STAFFID, user:STAFFID or chat:OPENCONVERSATIONID; may be repeated.
    #[arg(long, short, value_name = "TARGET", required = true)]
    target: Vec<String>,
    /// Words, as Markdown; - reads them from stdin.
    #[arg(long, short, value_name = "TEXT", required_unless_present = "media")]
    message: Option<String>,
    /// The words are no Markdown.
    #[arg(long)]
    plain: bool,
    /// A picture or file; it comes after the words.
    #[arg(long, value_name = "FILE")]
    media: Option<PathBuf>,
    /// What was sent under this key within 7 days is not sent again.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Say what would be sent to whom, and send nothing; no gateway is asked.
    #[arg(long)]
    dry_run: bool,
    /// As OpenClaw has it; there is only this one.
    #[arg(long, value_name = "CHANNEL", value_parser = CHANNELS)]
    channel: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    link: LinkArgs,
}

/// What `--channel` takes.
const CHANNELS: [&str; 1] = ["ddingtalk"];

#[derive(Debug, clap::Args)]
struct Sent {
    /// As OpenClaw has it; there is only this one.
    #[arg(long, value_name = "CHANNEL", value_parser = CHANNELS)]
    channel: Option<String>,
    /// The group it was sent to, where the gateway does not remember it.
    #[arg(long, value_name = "OPENCONVERSATIONID")]
    chat: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    link: LinkArgs,
}

#[derive(Debug, clap::Args)]
struct Recall {
    /// processQueryKey of the message.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    sent: Sent,
}

#[derive(Debug, clap::Args)]
struct ReadBy {
    /// processQueryKey of the message.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    sent: Sent,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Send(args) => send(args).await,
        Verb::Recall(args) => recall(args).await,
        Verb::Read(args) => read(args).await,
    }
}

async fn send(args: Send) -> Result<(), Failure> {
    let Send { target, message, plain, media, key, dry_run, channel: _, json, link } = args;
    let words = message.map(|given| words(given, "--message")).transpose()?;
    let media = media.as_deref().map(file).transpose()?;
    let words = words.map(|words| (if plain { "text" } else { "markdown" }, json!(words)));
    if dry_run {
        return show(&target, words.into_iter().chain(media), json);
    }
    let (link, client_id) = link.robot().await?;
    let mut failures = Vec::new();
    let mut all = Vec::new();
    let mut to = target;
    for (kind, what) in words.into_iter().chain(media) {
        let mut body = json!({ "to": to, "clientId": client_id, kind: what });
        if let Some(key) = &key {
            // A key belongs to one message.
            let key = if all.is_empty() { key.clone() } else { format!("{key} media") };
            body["key"] = key.into();
        }
        let answer = link.call(Method::POST, &["messages"], Some(&body)).await?;
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        let (delivered, failed): (Vec<_>, Vec<_>) =
            results.iter().cloned().partition(|row| row["status"] == "delivered");
        failures.extend(failed);
        all.extend(results);
        // Who did not get the words does not get what belongs to them.
        to = delivered.iter().filter_map(|row| row["to"].as_str()).map(str::to_owned).collect();
        if to.is_empty() {
            break;
        }
    }
    if json {
        output::data(&json!({ "results": all }).to_string())?;
    } else {
        for row in &all {
            output::data(&line(row))?;
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let named: Vec<_> =
        failures.iter().map(|row| format!("{}: {}", to_whom(row), why(row))).collect();
    Err(Failure::new(ExitCode::Failed, format!("not sent to {}", named.join("; "))))
}

/// What would be sent, and to whom.
fn show(
    to: &[String],
    what: impl Iterator<Item = (&'static str, Value)>,
    json: bool,
) -> Result<(), Failure> {
    let targets = to.iter().map(|to| {
        let target = to.parse::<Target>();
        target.map_err(|e| Failure::new(ExitCode::Usage, format!("--target is {to:?}; {e}")))
    });
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for (kind, what) in what {
        rows.extend(targets.iter().map(|to| json!({ "to": to.to_string(), kind: what })));
        for to in targets.iter().filter(|_| !json) {
            let words = what.as_str().or(what["path"].as_str()).unwrap_or_default();
            output::data(&format!("would be sent  {to}  {kind}: {}", output::excerpt(words)))?;
        }
    }
    if json {
        output::data(&json!({ "dryRun": true, "messages": rows }).to_string())
    } else {
        Ok(())
    }
}

/// The words of a message: as given, or what stdin has, without the line end behind it.
pub(super) fn words(given: String, flag: &str) -> Result<String, Failure> {
    let (from, words) = if given == "-" {
        let mut stdin = std::io::stdin().lock();
        if stdin.is_terminal() {
            output::note("reading the message from stdin; Ctrl-D ends it");
        }
        let mut text = String::new();
        stdin.read_to_string(&mut text).map_err(|e| {
            Failure::new(ExitCode::Failed, format!("stdin cannot be read: {e}; give UTF-8 text"))
        })?;
        ("stdin", text.trim_end_matches(['\n', '\r']).to_owned())
    } else {
        (flag, given)
    };
    if words.trim().is_empty() {
        return Err(Failure::new(ExitCode::Usage, format!("{from} is empty; give it some words")));
    }
    Ok(words)
}

/// A file of this machine, as the gateway takes it.
fn file(path: &Path) -> Result<(&'static str, Value), Failure> {
    const PICTURES: [&str; 5] = ["jpg", "jpeg", "png", "gif", "bmp"];
    let absolute = path.canonicalize().ok().filter(|path| path.is_file()).ok_or_else(|| {
        let problem = format!("--media is {}; give a regular file that is there", path.display());
        Failure::new(ExitCode::Usage, problem)
    })?;
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let picture = extension.is_some_and(|e| PICTURES.contains(&e.as_str()));
    let mut what = json!({ "path": absolute });
    // The name that was given, whatever a link leads to.
    if let Some(name) = path.file_name() {
        what["name"] = name.to_string_lossy().into();
    }
    Ok((if picture { "image" } else { "file" }, what))
}

fn to_whom(row: &Value) -> &str {
    row["to"].as_str().unwrap_or("?")
}

fn line(row: &Value) -> String {
    let status = row["status"].as_str().unwrap_or("?");
    let ids: Vec<&str> = match row["parts"]["processQueryKeys"].as_array() {
        Some(keys) => keys.iter().filter_map(Value::as_str).collect(),
        None => {
            row["processQueryKey"].as_str().or(row["outTrackId"].as_str()).into_iter().collect()
        }
    };
    let mut line = format!("{status}  {}", to_whom(row));
    for id in ids {
        line.push_str("  ");
        line.push_str(id);
    }
    line
}

/// Why a recipient did not get it.
fn why(row: &Value) -> String {
    match row["status"].as_str().unwrap_or_default() {
        "invalid" => "DingTalk does not know the recipient, or it may not see the robot".to_owned(),
        "flowControlled" => "DingTalk's limit for the recipient is reached; try later".to_owned(),
        "limited" => {
            let wait = row["retryAfterMs"].as_u64().unwrap_or_default().div_ceil(1_000);
            format!("20 messages a minute are what one recipient gets; try again in {wait} s")
        }
        _ => {
            let reason = row["reason"].as_str().unwrap_or("it failed").to_owned();
            let unclear = row["mayHaveArrived"] == true;
            if unclear { format!("{reason} (it may have arrived all the same)") } else { reason }
        }
    }
}

async fn recall(Recall { ids, sent }: Recall) -> Result<(), Failure> {
    let (link, client_id) = sent.link.robot().await?;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for id in &ids {
        match of_sent(&link, Method::POST, id, "recall", &client_id, sent.chat.as_deref()).await {
            Ok(_) => rows.push(json!({ "processQueryKey": id, "status": "recalled" })),
            Err(e) if e.exit_code() == ExitCode::NoGateway => return Err(e),
            Err(e) => {
                let reason = e.to_string();
                rows.push(json!({ "processQueryKey": id, "status": "failed", "reason": reason }));
                failures.push(format!("{id}: {reason}"));
            }
        }
    }
    if sent.json {
        output::data(&json!({ "results": rows }).to_string())?;
    } else {
        for row in &rows {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            output::data(&format!("{}  {}", text("status"), text("processQueryKey")))?;
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Failed, format!("not recalled: {}", failures.join("; "))))
}

async fn read(ReadBy { id, sent }: ReadBy) -> Result<(), Failure> {
    let (link, client_id) = sent.link.robot().await?;
    let answer = of_sent(&link, Method::GET, &id, "read", &client_id, sent.chat.as_deref()).await?;
    if sent.json {
        let mut answer = answer;
        answer.as_object_mut().map(|fields| fields.remove("v"));
        return output::data(&answer.to_string());
    }
    output::data(answer["sendStatus"].as_str().unwrap_or("?"))?;
    for person in answer["people"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let state = if person["read"] == true { "read  " } else { "unread" };
        let user = person["userId"].as_str().unwrap_or("?");
        let name = output::shown(person["name"].as_str());
        output::data(&format!("{state}  {user}  {name}"))?;
    }
    Ok(())
}

/// A call about a message that was sent.
async fn of_sent(
    link: &Link,
    method: Method,
    id: &str,
    verb: &str,
    client_id: &str,
    chat: Option<&str>,
) -> Result<Value, Failure> {
    let chat = chat.map(|chat| chat.strip_prefix("ddingtalk:").unwrap_or(chat));
    let chat = chat.map(|chat| ("chat", chat.strip_prefix("chat:").unwrap_or(chat)));
    let query: Vec<_> = [("clientId", client_id)].into_iter().chain(chat).collect();
    link.ask(method, &["messages", id, verb], &query, None).await
}
