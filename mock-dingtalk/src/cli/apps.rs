//! `apps` and `reset`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    client::Target,
    exit_code::Exit,
    print::{self, Column},
};

/// Mint, list and delete apps.
#[derive(Debug, Args)]
pub(super) struct Apps {
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
    /// List the apps.
    List,
    /// Show an app with its people and chats.
    Show {
        /// Its `clientId`.
        id: String,
    },
    /// Make an app, a world of its own.
    Mint {
        /// Its `clientId`; made up if not given.
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// Its `clientSecret`; made up if not given.
        #[arg(long, value_name = "SECRET")]
        client_secret: Option<String>,
        /// documented, observed-60s, observed-16s or tls.
        #[arg(long)]
        profile: Option<String>,
        /// Seed of what is made up.
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// A permission that it lacks, by its code; can be given several times.
        #[arg(long = "missing-permission", value_name = "CODE")]
        missing_permissions: Vec<String>,
    },
    /// Delete an app; its connections are reset.
    Delete {
        /// Its `clientId`.
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    ("CLIENTID", "/clientId"),
    ("CLIENTSECRET", "/clientSecret"),
    ("ROBOTCODE", "/robotCode"),
    ("CORPID", "/corpId"),
];

const PEOPLE: &[Column] = &[("USER", "/userId"), ("NICK", "/nick")];
const CHATS: &[Column] = &[("CONVERSATION", "/id"), ("TYPE", "/type"), ("TITLE", "/title")];

impl Apps {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let client = self.target.client()?;
        let all = client.at(&["apps"]);
        match self.verb {
            Verb::List => print::rows(&client.get(all).await?, COLUMNS, self.json)?,
            Verb::Show { id } => {
                let shown = client.get(client.at(&["apps", &id])).await?;
                if self.json {
                    print::json(&shown)?;
                } else {
                    print::rows(&shown, COLUMNS, false)?;
                    print::text("\n")?;
                    print::rows(&shown["people"], PEOPLE, false)?;
                    print::text("\n")?;
                    print::rows(&shown["conversations"], CHATS, false)?;
                }
            }
            Verb::Mint { client_id, client_secret, profile, seed, missing_permissions } => {
                let body = json!({
                    "clientId": client_id,
                    "clientSecret": client_secret,
                    "profile": profile,
                    "seed": seed,
                    "missingPermissions": missing_permissions,
                });
                print::rows(&client.post(all, &body).await?, COLUMNS, self.json)?;
            }
            Verb::Delete { id } => client.delete(client.at(&["apps", &id])).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Forget all apps, and reset what is connected.
#[derive(Debug, Args)]
pub(super) struct Reset {
    #[command(flatten)]
    target: Target,
}

impl Reset {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let client = self.target.client()?;
        client.post(client.at(&["reset"]), &json!({})).await?;
        Ok(ExitCode::SUCCESS)
    }
}
