//! `ddingtalk pairing`: strangers who asked to talk to a robot. Works while the robot runs.

use clap::Subcommand;
use serde_json::json;

use super::access::StoreArgs;
use super::exit_code::{ExitCode, Failure};
use super::output::{self, printable, shown, time};
use crate::credential::ClientId;
use crate::store::pairing::{CODE_LIFE_MS, PairedPerson, Waiting};
use crate::unix_time::now_ms;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Who waits, with which code, and who is paired.
    List(StoreArgs),
    /// Let the stranger with this code in, from the next message on.
    Approve(Code),
    /// Turn the stranger with this code away; there is no other code for an hour.
    Deny(Code),
    /// End the pairing of a person, who is a stranger again within a second.
    Revoke(Person),
}

#[derive(Debug, clap::Args)]
struct Code {
    /// The code that the stranger was told.
    #[arg(value_name = "CODE")]
    code: String,
    #[command(flatten)]
    common: StoreArgs,
}

#[derive(Debug, clap::Args)]
struct Person {
    /// The userId, or the encrypted id of somebody without one.
    #[arg(value_name = "USER")]
    user: String,
    /// With this app only; with all if not given.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    common: StoreArgs,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::List(common) => list(&common),
        Verb::Approve(Code { code, common }) => decide(&code, true, common).await,
        Verb::Deny(Code { code, common }) => decide(&code, false, common).await,
        Verb::Revoke(person) => revoke(person).await,
    }
}

fn list(common: &StoreArgs) -> Result<(), Failure> {
    let (requests, paired) = match common.store()?.reader()? {
        Some(store) => (store.pairing_requests(now_ms())?, store.everybody_paired()?),
        None => (Vec::new(), Vec::new()),
    };
    if common.json {
        let waiting: Vec<_> = requests.iter().map(row).collect();
        let paired: Vec<_> = paired.iter().map(person_row).collect();
        return output::data(&json!({ "waiting": waiting, "paired": paired }).to_string());
    }
    if requests.is_empty() {
        output::data("nobody waits")?;
    }
    for waiting in &requests {
        let request = &waiting.request;
        output::data(&format!(
            "{}  {}  {}  until {}  {}",
            waiting.code,
            request.sender,
            shown(request.nick.as_deref()),
            time(waiting.asked_at.saturating_add(CODE_LIFE_MS)),
            request.client_id,
        ))?;
    }
    for person in &paired {
        output::data(&format!(
            "paired    {}  {}  since {}  {}",
            person.sender,
            shown(person.nick.as_deref()),
            time(person.approved_at),
            person.client_id,
        ))?;
    }
    Ok(())
}

async fn revoke(Person { user, client_id, common }: Person) -> Result<(), Failure> {
    let user = user.trim().to_owned();
    let client_id = client_id.map(ClientId::new);
    let revoked = match common.store()?.open_existing()? {
        Some(store) => store.revoke_pairing(user.clone(), client_id).await?,
        None => Vec::new(),
    };
    if revoked.is_empty() {
        return Err(Failure::new(
            ExitCode::Failed,
            format!(
                "nobody with the id {user:?} is paired; see `ddingtalk pairing list`, and allowFrom in the \
                 config file"
            ),
        ));
    }
    if common.json {
        let rows: Vec<_> = revoked.iter().map(person_row).collect();
        return output::data(&json!(rows).to_string());
    }
    for person in &revoked {
        let nick = shown(person.nick.as_deref());
        output::data(&format!("revoked: {} ({nick}) of {}", person.sender, person.client_id))?;
    }
    Ok(())
}

async fn decide(code: &str, approved: bool, common: StoreArgs) -> Result<(), Failure> {
    let code = code.trim().to_ascii_uppercase();
    let decided = match common.store()?.open_existing()? {
        Some(store) => store.decide_pairing(code.clone(), approved, now_ms()).await?,
        None => None,
    };
    let Some(waiting) = decided else {
        return Err(Failure::new(
            ExitCode::Failed,
            format!(
                "nobody waits with the code {code:?}; it may have run out, or belong to another state \
                 directory: see `ddingtalk pairing list`"
            ),
        ));
    };
    let decision = if approved { "approved" } else { "denied" };
    if common.json {
        let mut row = row(&waiting);
        row["decision"] = decision.into();
        return output::data(&row.to_string());
    }
    let nick = waiting.request.nick.as_deref().map(|nick| format!(" ({})", printable(nick)));
    output::data(&format!("{decision}: {}{}", waiting.request.sender, nick.unwrap_or_default()))
}

fn row(waiting: &Waiting) -> serde_json::Value {
    json!({
        "code": waiting.code,
        "sender": waiting.request.sender,
        "senderNick": waiting.request.nick,
        "clientId": waiting.request.client_id.as_str(),
        "askedAt": waiting.asked_at,
        "expiresAt": waiting.asked_at.saturating_add(CODE_LIFE_MS),
    })
}

fn person_row(person: &PairedPerson) -> serde_json::Value {
    json!({
        "sender": person.sender,
        "senderNick": person.nick,
        "clientId": person.client_id.as_str(),
        "approvedAt": person.approved_at,
    })
}
