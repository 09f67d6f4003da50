//! `ddingtalk inbox`: messages that wait, are worked on, or failed.

use std::path::Path;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::access::{StoreArgs, reader, state_dir};
use super::exit_code::{ExitCode, Failure};
use super::link::Link;
use super::output::{self, printable, time};
use super::trace::Trace;
use crate::agent::Say;
use crate::link::NO_NOTE;
use crate::protocol::{BotMessage, Content};
use crate::state_dir;
use crate::store::inbox::{ENDED, Kept, KeptPart, MessageState, RETRIED};
use crate::store::{InboxId, Store, StoreAddress};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Messages that wait, are worked on, or failed.
    List(List),
    /// One message: its words, its steps, and what was said to it.
    Show(Show),
    /// Work again on messages that failed, were parked, stopped or dropped.
    Retry(Retry),
    /// End messages that wait, are worked on, or failed; nothing more is said to them.
    Drop(End),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Those, too, that are done, stopped or dropped, as long as they are kept.
    #[arg(long)]
    all: bool,
    /// The newest N of them.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    common: StoreArgs,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Number of the message, as `inbox list` has it.
    #[arg(value_name = "ID")]
    id: i64,
    #[command(flatten)]
    common: StoreArgs,
}

#[derive(Debug, clap::Args)]
struct Retry {
    /// Numbers of messages.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<i64>,
    #[command(flatten)]
    common: StoreArgs,
}

#[derive(Debug, clap::Args)]
struct End {
    /// Numbers of messages.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<i64>,
    /// Why, for whoever looks at them later.
    #[arg(long, value_name = "TEXT", default_value = NO_NOTE)]
    note: String,
    #[command(flatten)]
    common: StoreArgs,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::List(args) => list(&args),
        Verb::Show(args) => show(&args),
        Verb::Retry(Retry { ids, common }) => change(&ids, &To::Retry, common).await,
        Verb::Drop(End { ids, note, common }) => change(&ids, &To::Drop(note), common).await,
    }
}

/// What is looked for without `--all`.
pub(super) const OPEN: &[MessageState] =
    &[MessageState::Waiting, MessageState::Working, MessageState::Failed, MessageState::Parked];
pub(super) const CLOSED: &[MessageState] =
    &[MessageState::Stopped, MessageState::Dropped, MessageState::Done];

fn list(List { all, limit, common }: &List) -> Result<(), Failure> {
    let reader = reader(&common.store()?)?;
    let states = if *all { [OPEN, CLOSED].concat() } else { OPEN.to_vec() };
    let rows = reader.list(&states, *limit)?;
    if common.json {
        let rows: Vec<_> = rows.iter().map(row).collect();
        return output::data(&json!({ "messages": rows }).to_string());
    }
    if rows.is_empty() {
        output::note(if *all { "no message is kept" } else { "no message waits or has failed" });
    }
    for kept in &rows {
        let (sender, words) = question(kept);
        let reason = kept.reason.as_ref().map(|reason| format!("  ({})", printable(reason)));
        output::data(&format!(
            "{}  {:<7}  {}  {}  {}{}",
            kept.id.number(),
            kept.state.name(),
            time(kept.received_at),
            sender,
            output::excerpt(&words),
            reason.unwrap_or_default(),
        ))?;
    }
    Ok(())
}

fn show(Show { id, common }: &Show) -> Result<(), Failure> {
    let reader = reader(&common.store()?)?;
    let kept = reader.by_id(InboxId::of(*id))?.ok_or_else(|| {
        let problem = format!("there is no message {id}; see `ddingtalk inbox list --all`");
        Failure::new(ExitCode::Failed, problem)
    })?;
    let trace = Trace { parts: reader.parts(kept.id)?, kept };
    let words = |part: &KeptPart| {
        part.say.as_ref().map_or_else(|| "(cannot be read)".to_owned(), Say::words)
    };
    let answers: Vec<_> = trace.parts.iter().map(words).collect();
    if common.json {
        let mut whole = trace.json();
        whole["data"] = data(&trace.kept);
        whole["answers"] = json!(answers);
        return output::data(&whole.to_string());
    }
    trace.print()?;
    let (sender, asked) = question(&trace.kept);
    let lines = [(sender, asked)];
    let answered = answers.into_iter().map(|answer| ("robot".to_owned(), answer));
    for (who, words) in lines.into_iter().chain(answered) {
        output::data(&format!("  {who}:"))?;
        for line in words.lines() {
            output::data(&format!("    {}", printable(line)))?;
        }
    }
    Ok(())
}

/// The frame's data. The address that answers are posted to needs no credential, and is nobody's business.
fn data(kept: &Kept) -> Value {
    let mut data: Value = serde_json::from_str(&kept.data).unwrap_or_default();
    if data.get("sessionWebhook").is_some() {
        data["sessionWebhook"] = "***".into();
    }
    data
}

/// Who wrote a message, and its words.
fn question(kept: &Kept) -> (String, String) {
    let Ok(message) = BotMessage::parse(&kept.data) else {
        return ("-".to_owned(), "(cannot be read)".to_owned());
    };
    let id = message.sender_staff_id.as_ref().map(|id| printable(id.as_str()));
    let sender = id.unwrap_or_else(|| output::shown(message.sender_nick.as_deref()));
    let words = match message.content {
        Content::Text(text) | Content::Markdown(text) => text.trim().to_owned(),
        _ => {
            let data = data(kept);
            format!("({})", data["msgtype"].as_str().unwrap_or("?"))
        }
    };
    (sender, words)
}

fn row(kept: &Kept) -> Value {
    let (sender, words) = question(kept);
    json!({
        "id": kept.id.number(),
        "state": kept.state.name(),
        "reason": kept.reason,
        "clientId": kept.client_id.as_str(),
        "msgId": kept.msg_id,
        "conversationId": kept.conversation_id,
        "receivedAt": kept.received_at,
        "sender": sender,
        "text": words,
    })
}

/// What is to become of messages.
enum To {
    Retry,
    Drop(String),
}

impl To {
    fn word(&self) -> &'static str {
        match self {
            Self::Retry => "again",
            Self::Drop(_) => "dropped",
        }
    }
}

/// Through the gateway that runs; where none does, in the store itself, which no gateway may take meanwhile.
async fn change(ids: &[i64], to: &To, common: StoreArgs) -> Result<(), Failure> {
    let (dir, address) = (state_dir(common.state_dir.clone())?, common.store()?);
    // Whoever asks for a store without messages is told so.
    drop(reader(&address)?);
    let mut alone = None;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        let outcome = match &alone {
            None => match over_link(&dir, *id, to).await {
                Err(e) if e.exit_code() == ExitCode::NoGateway => {
                    let lock = state_dir::lock(&dir)?;
                    let store = address.open()?;
                    let outcome = in_store(&*store, *id, to).await;
                    alone = Some((store, lock));
                    outcome
                }
                outcome => outcome,
            },
            Some((store, _)) => in_store(&**store, *id, to).await,
        };
        match outcome {
            Ok(()) => rows.push(json!({ "id": id, "status": to.word() })),
            Err(e) => {
                let reason = e.to_string();
                rows.push(json!({ "id": id, "status": "failed", "reason": reason }));
                failures.push(reason);
            }
        }
    }
    if common.json {
        output::data(&json!({ "results": rows }).to_string())?;
    } else {
        for row in rows.iter().filter(|row| row["status"] != "failed") {
            output::data(&format!("{}: {}", to.word(), row["id"]))?;
        }
    }
    if alone.is_some() && matches!(to, To::Retry) && failures.len() < ids.len() {
        output::note(match address {
            StoreAddress::File(_) => "no gateway runs; the next one works on them",
            StoreAddress::Postgres(_) => {
                "no gateway runs here; one that runs elsewhere, or the next, works on them"
            }
        });
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Failed, failures.join("; ")))
}

async fn over_link(dir: &Path, id: i64, to: &To) -> Result<(), Failure> {
    let (verb, body) = match to {
        To::Retry => ("retry", json!({})),
        To::Drop(note) => ("drop", json!({ "note": note })),
    };
    let link = Link::open(dir)?;
    link.call(Method::POST, &["inbox", &id.to_string(), verb], Some(&body)).await.map(drop)
}

async fn in_store(store: &dyn Store, id: i64, to: &To) -> Result<(), Failure> {
    let id = InboxId::of(id);
    let outcome = match to {
        To::Retry => store.retry(None, id).await?.made(id, RETRIED).map(drop),
        To::Drop(note) => store.end(None, id, note.clone()).await?.made(id, ENDED),
    };
    outcome.map_err(|e| Failure::new(ExitCode::Failed, e.to_string()))
}
