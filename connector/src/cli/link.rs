//! Asks the running gateway, over the agent link of its state directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::access::state_dir;
use super::exit_code::{ExitCode, Failure};
use crate::link::client::{LinkClient, LinkError};

/// A push to a thousand people, each call of which is tried a few times, takes so long at most.
const PATIENCE: Duration = Duration::from_secs(600);

/// Which gateway is asked, and for which of its robots.
#[derive(Debug, clap::Args)]
pub(super) struct LinkArgs {
    /// Account of the config file; needed where the gateway runs several.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// State directory of the gateway.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl LinkArgs {
    /// Finds the running gateway.
    pub(super) fn open(&self) -> Result<Link, Failure> {
        Link::open(&state_dir(self.state_dir.clone())?)
    }

    /// Finds the running gateway, and the `clientId` of the robot that is meant.
    pub(super) async fn robot(&self) -> Result<(Link, String), Failure> {
        let link = self.open()?;
        let status = link.call(Method::GET, &["status"], None).await?;
        let robots = status["robots"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |robot: &&Value| {
            self.account.as_deref().is_none_or(|name| robot["account"].as_str() == Some(name))
        };
        let mut found = robots.iter().filter(named);
        if let (Some(robot), None) = (found.next(), found.next())
            && let Some(client_id) = robot["clientId"].as_str()
        {
            return Ok((link, client_id.to_owned()));
        }
        let accounts: Vec<_> =
            robots.iter().filter_map(|robot| robot["account"].as_str()).collect();
        let given = self.account.as_ref().map_or("missing".to_owned(), |name| format!("{name:?}"));
        let problem = format!("--account is {given}; give one of {}", accounts.join(", "));
        Err(Failure::new(ExitCode::Usage, problem))
    }
}

/// A gateway that runs.
#[derive(Debug)]
pub(super) struct Link(LinkClient);

impl Link {
    pub(super) fn open(state_dir: &Path) -> Result<Self, Failure> {
        Ok(Self(LinkClient::open(state_dir)?))
    }

    /// Calls `/v1/` and `path`; returns the answer, or fails with the gateway's reason.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.ask(method, path, &[], body).await
    }

    /// As [`call`](Self::call), with a query.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let path: Vec<_> = ["v1"].iter().chain(path).copied().collect();
        let changes = method != Method::GET;
        let answered = self.0.ask(method, &path, query, body, PATIENCE).await;
        let (status, answer) = answered.map_err(|e| match e {
            LinkError::NoAnswer { .. } if changes => {
                let problem = format!("{e}, since it may have done it all the same");
                Failure::new(ExitCode::NotConnected, problem)
            }
            e => e.into(),
        })?;
        if status == 200 && answer.is_object() {
            return Ok(answer);
        }
        let problem = answer["error"].as_str().map_or_else(
            || format!("the gateway answered HTTP {status}; is it of another release?"),
            str::to_owned,
        );
        // It was given what it cannot take.
        let exit_code = if status == 400 { ExitCode::Usage } else { ExitCode::Failed };
        Err(Failure::new(exit_code, problem))
    }
}
