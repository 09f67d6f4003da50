//! `mock-dingtalk snapshot`: keeps states of the mock and goes back to them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    client::Target,
    exit_code::Exit,
    print::{self, Column},
};

/// Keep a state of the mock, and go back to it.
#[derive(Debug, Args)]
pub(super) struct Snapshot {
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep the state of all apps under a name.
    Save { name: String },
    /// List what is kept.
    List,
    /// Go back to a state.
    Restore { name: String },
    /// Forget a state.
    Delete { name: String },
}

const COLUMNS: &[Column] = &[("NAME", "/name"), ("AT", "/at"), ("APPS", "/apps")];

impl Snapshot {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let client = self.target.client()?;
        let all = client.at(&["snapshots"]);
        let answer = match &self.verb {
            Verb::Save { name } => client.post(all, &json!({ "name": name })).await?,
            Verb::List => client.get(all).await?,
            Verb::Restore { name } => {
                client.post(client.at(&["snapshots", name, "restore"]), &json!({})).await?
            }
            Verb::Delete { name } => {
                client.delete(client.at(&["snapshots", name])).await?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        if !answer.is_null() {
            print::rows(&answer, COLUMNS, self.json)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
