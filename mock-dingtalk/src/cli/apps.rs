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

impl Apps {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let client = self.target.client()?;
        let all = client.at(&["apps"]);
        match self.verb {
            Verb::List => print::rows(&client.get(all).await?, COLUMNS, self.json)?,
            Verb::Mint { client_id, client_secret, profile, seed } => {
                let body = json!({
                    "clientId": client_id,
                    "clientSecret": client_secret,
                    "profile": profile,
                    "seed": seed,
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
