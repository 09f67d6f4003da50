//! `ddingtalk channels`: the robots of the config file.

use std::io::Read;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::access::{AccessArgs, StoreFlag, state_dir};
use super::checkup::{Checkup, Consent, Known};
use super::exit_code::{ExitCode, Failure};
use super::setup::{self, NewAccount, place_of};
use super::terminal::Terminal;
use super::{logs, onboard, output};
use crate::agent::AgentKind;
use crate::config::accounts::{Account, DEFAULT};
use crate::config::document::Document;
use crate::doctor::{Report, Row, Status as Found};
use crate::redact::Secret;
use crate::state_dir as directory;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a robot's credential into the config file; asks at a terminal for what is not given.
    Add(Add),
    /// Which robots the settings name.
    List(List),
    /// How each robot is: its settings, its connection, and with --probe its credential.
    Status(Status),
    /// Take a robot out of the config file.
    Remove(Remove),
    /// What the gateway has logged of one robot.
    Logs(Logs),
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Client ID (AppKey), from the app's page 凭证与基础信息.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Client Secret (AppSecret); other users of this machine may see it, a file is better.
    #[arg(long, value_name = "SECRET", conflicts_with = "client_secret_file")]
    client_secret: Option<String>,
    /// A file with the Client Secret; - is standard input.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// Name of the account: letters, digits, - and _.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Ask nothing.
    #[arg(long)]
    non_interactive: bool,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Status {
    /// Try each credential and what its app may do, as `ddingtalk doctor` does.
    #[arg(long)]
    probe: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// State directory of the gateway.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// Name of the account.
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    account: String,
}

#[derive(Debug, clap::Args)]
struct Logs {
    /// Name of the account.
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    account: String,
    #[command(flatten)]
    logs: logs::Args,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Add(args) => add(args, onboard::Wizard::Add).await,
        Verb::List(args) => list(&args),
        Verb::Status(args) => status(args).await,
        Verb::Remove(args) => remove(&args),
        Verb::Logs(Logs { account, logs }) => logs::run(logs, Some(&account)).await,
    }
}

/// `channels add` and `onboard`: by flags alone, or by questions for what they leave open.
pub(super) async fn add(args: Add, wizard: onboard::Wizard) -> Result<(), Failure> {
    let secret = args.secret()?;
    let is_whole = args.client_id.is_some() && secret.is_some();
    let asks = !is_whole || wizard == onboard::Wizard::Onboard;
    if !args.non_interactive
        && asks
        && let Some(terminal) = Terminal::open()?
    {
        let given = onboard::Given { client_id: args.client_id, secret, account: args.account };
        return onboard::run(terminal, wizard, given).await;
    }
    let new = NewAccount {
        account: args.account.unwrap_or_else(|| DEFAULT.to_owned()),
        client_id: present("--client-id", &needed(args.client_id, "--client-id")?)?,
        client_secret: needed(secret, "--client-secret or --client-secret-file")?,
        others: Vec::new(),
    };
    let path = setup::path()?;
    new.put(&path)?;
    output::note("next: `ddingtalk channels status --probe` tries it, `ddingtalk gateway` runs it");
    Ok(())
}

impl Add {
    fn secret(&self) -> Result<Option<Secret>, Failure> {
        let text = match (&self.client_secret, &self.client_secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, None) => return Ok(None),
            (None, Some(file)) => {
                let mut text = String::new();
                let read = if file.as_os_str() == "-" {
                    std::io::stdin().read_to_string(&mut text)
                } else {
                    std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
                };
                read.map_err(|e| {
                    let message = format!(
                        "--client-secret-file {} cannot be read: {e}; name a text file, or - for standard input",
                        file.display()
                    );
                    Failure::new(ExitCode::Configuration, message)
                })?;
                text
            }
        };
        present("the Client Secret", &text).map(|text| Some(Secret::new(text)))
    }
}

/// A value that a script has to give.
fn needed<T>(value: Option<T>, flags: &str) -> Result<T, Failure> {
    value.ok_or_else(|| {
        let message = format!(
            "{flags} is missing; give it, or run this in a terminal, where it is asked for"
        );
        Failure::new(ExitCode::Configuration, message)
    })
}

/// A value without the blanks around it.
fn present(what: &str, text: &str) -> Result<String, Failure> {
    match text.trim() {
        "" => {
            Err(Failure::new(ExitCode::Configuration, format!("{what} is empty; give it a value")))
        }
        text => Ok(text.to_owned()),
    }
}

/// A choice as the config file has it.
fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn row(account: &Account) -> Value {
    json!({
        "account": account.name,
        "clientId": account.credential.client_id.as_str(),
        "enabled": true,
        "agent": account.agent.map(AgentKind::name),
        "dmPolicy": word(&account.access.dm),
        "groupPolicy": word(&account.access.group),
    })
}

fn list(args: &List) -> Result<(), Failure> {
    let accounts = AccessArgs::default().noted()?;
    if args.json {
        let off = accounts.disabled.iter().map(|name| json!({ "account": name, "enabled": false }));
        let rows: Vec<_> = accounts.accounts.iter().map(row).chain(off).collect();
        return output::data(&json!(rows).to_string());
    }
    for account in &accounts.accounts {
        let row = row(account);
        let agent = row["agent"].as_str().map_or(String::new(), |agent| format!(", agent {agent}"));
        output::data(&format!(
            "{} ({}): dmPolicy {}, groupPolicy {}{agent}",
            account.name,
            account.credential.client_id,
            row["dmPolicy"].as_str().unwrap_or_default(),
            row["groupPolicy"].as_str().unwrap_or_default(),
        ))?;
    }
    accounts.disabled.iter().try_for_each(|name| output::data(&format!("{name}: disabled")))
}

async fn status(args: Status) -> Result<(), Failure> {
    let accounts = AccessArgs::default().noted()?.accounts;
    let dir = state_dir(args.state_dir)?;
    let known = Known::of(Some(&dir), &StoreFlag::of_environment()).await;
    // One that runs and does not answer is worth a word.
    if directory::holder(&dir)?.is_some()
        && let Some(e) = known.unasked()
    {
        output::note(&format!("warning: {e}"));
    }
    let checkup = if args.probe { Some(Checkup::new()?) } else { None };
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for account in &accounts {
        let mut report = Report::default();
        if let Some(checkup) = &checkup {
            let app = (account.name.as_str(), &account.credential);
            let checkup = checkup.allowing(&account.allow_hosts);
            checkup.app(&mut report, app, &known, Consent::default()).await;
        }
        if !report.failed().is_empty() {
            failed.push(account.name.as_str());
        }
        let mut row = row(account);
        row["stream"] = known.stream(&account.credential.client_id);
        if args.probe {
            row["probe"] = report.rows().iter().map(Row::json).collect();
        }
        if !args.json {
            output::data(&readable(&row))?;
            let seen = report.rows().iter().filter(|row| row.status() != Found::Skip);
            let mut lines = seen.flat_map(Row::lines);
            lines.try_for_each(|line| output::data(&format!("  {line}")))?;
        }
        rows.push(row);
    }
    if args.json {
        output::data(&json!(rows).to_string())?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!("does not work: {}", failed.join(", "));
    Err(Failure::new(ExitCode::Failed, message))
}

fn readable(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let stream = row["stream"].as_str().unwrap_or("not running");
    format!("{} ({}): {stream}", text("account"), text("clientId"))
}

fn remove(args: &Remove) -> Result<(), Failure> {
    let path = setup::path()?;
    let mut document = Document::open(&path)?;
    let section = document.section();
    let place = place_of(&args.account, &section);
    let removed = if place.is_empty() {
        // Other settings at the top are those of all accounts.
        let id = document.remove(&["clientId"])?;
        document.remove(&["clientSecret"])? || id
    } else {
        document.remove(&place)?
    };
    if !removed {
        let message = format!(
            "there is no account {:?} in {}; `ddingtalk channels list` names those that are",
            args.account,
            path.display()
        );
        return Err(Failure::new(ExitCode::Failed, message));
    }
    document.save()?;
    output::data(&format!("removed: account {} from {}", args.account, path.display()))?;
    output::note("a gateway that runs with this file stops its robot within a few seconds");
    Ok(())
}
