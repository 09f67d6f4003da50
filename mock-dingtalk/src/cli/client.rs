//! Control calls to a mock that runs elsewhere.

use clap::Args;
pub(super) use mock_dingtalk::ControlClient as Client;
use url::Url;

use super::exit_code::Exit;

/// Which mock.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The mock's URL, as in its ready line.
    #[arg(long, env = "MOCK_DINGTALK_URL", global = true)]
    url: Option<Url>,
    /// The admin token of a mock that wants one.
    #[arg(long, value_name = "TOKEN", env = "MOCK_DINGTALK_ADMIN_TOKEN", hide_env_values = true)]
    #[arg(global = true)]
    admin_token: Option<String>,
}

/// Which app of which mock.
#[derive(Debug, Args)]
pub(super) struct OfApp {
    #[command(flatten)]
    target: Target,
    /// `clientId` of the app; may be left out when the mock has only one.
    #[arg(long, alias = "client-id", value_name = "ID", env = "DINGTALK_CLIENT_ID", global = true)]
    app: Option<String>,
}

impl Target {
    pub(super) fn client(&self) -> Result<Client, Exit> {
        let Some(url) = &self.url else {
            return Err(Exit::usage(
                "which mock? Give --url http://HOST:PORT or set MOCK_DINGTALK_URL; `mock-dingtalk \
                 serve` starts one and prints its URL"
                    .to_owned(),
            ));
        };
        Ok(Client::to(url)?.with_token(self.admin_token.clone()))
    }
}

impl OfApp {
    /// The mock alone.
    pub(super) fn mock(&self) -> Result<Client, Exit> {
        self.target.client()
    }

    /// The mock, and the app's `clientId`.
    pub(super) async fn find(&self) -> Result<(Client, String), Exit> {
        let client = self.target.client()?;
        if let Some(id) = &self.app {
            return Ok((client, id.clone()));
        }
        let apps = client.get(client.at(&["apps"])).await?;
        let ids: Vec<&str> = apps
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|app| app["clientId"].as_str())
            .collect();
        match ids.as_slice() {
            [id] => Ok((client, (*id).to_owned())),
            [] => Err(Exit::failed(format!(
                "the mock at {} has no app; `mock-dingtalk apps mint` makes one",
                client.url()
            ))),
            many => Err(Exit::usage(format!(
                "which app? The mock has {}; choose one with --app",
                many.join(", ")
            ))),
        }
    }
}
