//! `env` and `ca`: ask a running mock how to plug a bot in.

use std::process::ExitCode;

use clap::Args;

use super::{
    client::{OfApp, Target},
    exit_code::Exit,
    print,
};

/// Print the variables that make a bot find a running mock.
#[derive(Debug, Args)]
pub(super) struct Env {
    #[command(flatten)]
    of: OfApp,
    /// Whom the variables are for: python, node, go, java, connector, or all.
    #[arg(long, default_value = "all")]
    sdk: String,
    /// How they are written: shell (to be evaluated), dotenv, json, or compose.
    #[arg(long, default_value = "shell")]
    format: String,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Env {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let (client, app) = self.of.find().await?;
        let mut url = client.at(&["env"]);
        url.query_pairs_mut()
            .append_pair("sdk", &self.sdk)
            .append_pair("clientId", &app)
            .append_pair("format", if self.json { "json" } else { &self.format });
        let body = client.bytes(&url).await?;
        print::bytes(&body)?;
        if !body.ends_with(b"\n") {
            print::text("\n")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Print the certificate that a bot has to trust for TLS, as PEM.
#[derive(Debug, Args)]
pub(super) struct Ca {
    #[command(flatten)]
    target: Target,
}

impl Ca {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let client = self.target.client()?;
        let url = client.at(&["ca.pem"]);
        print::bytes(&client.bytes(&url).await?)?;
        Ok(ExitCode::SUCCESS)
    }
}
