//! `ddingtalk policy test`: what would become of a message, and by which setting. Needs no running robot.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::access::{AccessArgs, StoreFlag, state_dir};
use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::config::accounts::Account;
use crate::gateway::access::{Chat, Contact, Outcome};
use crate::store::pairing::PairedPerson;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what would become of a message.
    Test(Test),
}

#[derive(Debug, clap::Args)]
struct Test {
    /// Who writes: a userId, or the encrypted id of somebody without one.
    #[arg(long, value_name = "ID")]
    user: String,
    /// The same person's encrypted id (senderId), if lists name it.
    #[arg(long, value_name = "ID")]
    sender_id: Option<String>,
    /// In which group (its conversationId); a direct chat if not given.
    #[arg(long, value_name = "ID")]
    chat: Option<String>,
    /// The robot is mentioned.
    #[arg(long, requires = "chat")]
    mentioned: bool,
    /// Of which account; of all if not given.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
    /// State directory of the robot, where those stand who were paired.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    store: StoreFlag,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Verb::Test(test) = args.verb;
    telemetry::start(false);
    let mut accounts = test.access.accounts()?.accounts;
    if let Some(name) = &test.account {
        let names: Vec<_> = accounts.iter().map(|account| account.name.clone()).collect();
        accounts.retain(|account| account.name == *name);
        if accounts.is_empty() {
            return Err(Failure::new(
                ExitCode::Configuration,
                format!("--account is {name:?}, which is none of {}", names.join(", ")),
            ));
        }
    }
    let paired = match test.store.find(&state_dir(test.state_dir.clone())?)?.reader()? {
        Some(store) => store.everybody_paired()?,
        None => Vec::new(),
    };
    let rows: Vec<_> = accounts
        .iter()
        .map(|account| {
            let client_id = &account.credential.client_id;
            let is_meant = |person: &PairedPerson| {
                person.sender == test.user && person.client_id == *client_id
            };
            verdict(&test, account, paired.iter().any(is_meant))
        })
        .collect();
    if test.json {
        return output::data(&json!(rows).to_string());
    }
    for row in rows {
        let shown = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        output::data(&format!(
            "{}: {} by {}: {}",
            shown("account"),
            shown("decision"),
            shown("rule"),
            shown("reason"),
        ))?;
    }
    Ok(())
}

fn verdict(test: &Test, account: &Account, is_paired: bool) -> serde_json::Value {
    let user = Some(test.user.as_str());
    let chat = test
        .chat
        .as_deref()
        .map_or(Chat::Direct, |id| Chat::Group { id, mentioned: test.mentioned });
    let contact = Contact { staff_id: user, sender_id: test.sender_id.as_deref(), chat };
    let ruling = account.access.rule(&contact).knowing(is_paired);
    let (decision, reason) = match ruling.outcome {
        Outcome::Admit => ("admit", ruling.reason),
        Outcome::Pair => ("pair", "the sender gets a code and no answer"),
        Outcome::Refuse => ("refuse", ruling.reason),
    };
    json!({
        "account": account.name,
        "decision": decision,
        "rule": ruling.rule,
        "reason": reason,
    })
}
