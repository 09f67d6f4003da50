//! `mock-dingtalk read`: a person reads a message.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{client::OfApp, exit_code::Exit, print};

/// Let a person read a message of the robot, as readStatus and query then tell.
#[derive(Debug, Args)]
pub(super) struct Read {
    #[command(flatten)]
    of: OfApp,
    /// Who reads.
    #[arg(long, value_name = "USER", default_value = "user0001")]
    from: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The processQueryKey of the message, which `sent --json` shows.
    key: String,
}

impl Read {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let (client, app) = self.of.find().await?;
        let read = json!({ "userId": self.from, "processQueryKey": self.key });
        client.post(client.at(&["apps", &app, "reads"]), &read).await?;
        if self.json {
            print::json(&read)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
