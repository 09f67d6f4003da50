//! `mock-dingtalk press`: a person presses a button of a card.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{arguments, client::OfApp, exit_code::Exit, print};

/// Press a button of a card.
#[derive(Debug, Args)]
pub(super) struct Press {
    #[command(flatten)]
    of: OfApp,
    /// Who presses.
    #[arg(long, value_name = "USER", default_value = "user0001")]
    from: String,
    /// `cardPrivateData.params`, as an object.
    #[arg(long, value_name = "JSON")]
    params: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// `outTrackId` of the card.
    card: String,
    /// `cardPrivateData.actionIds`.
    #[arg(required_unless_present = "params")]
    actions: Vec<String>,
}

impl Press {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let params = self.params.as_deref().map(|params| arguments::json("--params", params));
        let params = params.transpose()?;
        let (client, app) = self.of.find().await?;
        let body = json!({
            "outTrackId": self.card,
            "userId": self.from,
            "actionIds": self.actions,
            "params": params,
        });
        let said = client.post(client.at(&["apps", &app, "card-actions"]), &body).await?;
        let columns = [("STATE", "/state"), ("MESSAGEID", "/messageId")];
        print::said(&said, "press", &columns, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
