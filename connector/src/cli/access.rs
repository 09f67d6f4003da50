//! What the commands share that judge by the configuration: flags, accounts, the store.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::agent::AgentArgs;
use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::config::accounts::{self, Accounts, Overrides};
use crate::config::{self, Environment, ProcessEnvironment};
use crate::gateway::access::{DmPolicy, GroupPolicy};
use crate::redact::Secret;
use crate::store::postgres::PostgresAddress;
use crate::store::{StoreAddress, StoreReader};

/// Flags that win over the config file, for every account.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct AccessArgs {
    /// Who may talk to the robot alone [default: as the config file says, else pairing].
    #[arg(long, value_enum)]
    dm_policy: Option<DmPolicy>,
    /// In which groups it answers [default: as the config file says, else allowlist].
    #[arg(long, value_enum)]
    group_policy: Option<GroupPolicy>,
    #[arg(skip)]
    file_first: bool,
}

impl AccessArgs {
    /// Of a gateway with this agent: OpenClaw's apps are those of its config file.
    pub(super) fn with(self, agent: &AgentArgs) -> Self {
        Self { file_first: agent.is_openclaw(), ..self }
    }

    /// Reads the accounts; what is odd goes to the log.
    pub(super) fn accounts(self) -> Result<Accounts, Failure> {
        let accounts = self.read()?;
        for warning in &accounts.warnings {
            warn!("{warning}");
        }
        Ok(accounts)
    }

    /// Reads the accounts; what is odd goes to stderr.
    pub(super) fn noted(self) -> Result<Accounts, Failure> {
        let accounts = self.read()?;
        for warning in &accounts.warnings {
            output::note(&format!("warning: {warning}"));
        }
        Ok(accounts)
    }

    /// Reads the accounts for a gateway that runs: there may be none any more.
    pub(super) fn followed(self) -> Result<Accounts, Failure> {
        Ok(Accounts::followed(&ProcessEnvironment, self.overrides())?)
    }

    fn overrides(self) -> Overrides {
        let Self { dm_policy, group_policy, file_first } = self;
        Overrides { dm_policy, group_policy, file_first }
    }

    /// Reads the accounts.
    pub(super) fn read(self) -> Result<Accounts, Failure> {
        Ok(Accounts::load(&ProcessEnvironment, self.overrides())?)
    }
}

/// Flags of commands that look into the store, whether a gateway runs or not.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    /// State directory of the gateway.
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    #[command(flatten)]
    store: StoreFlag,
    /// Print JSON; times are milliseconds since 1970 UTC.
    #[arg(long)]
    pub(super) json: bool,
}

impl StoreArgs {
    /// Where the store is.
    pub(super) fn store(&self) -> Result<StoreAddress, Failure> {
        self.store.find(&state_dir(self.state_dir.clone())?)
    }
}

/// The directory that the flag names, or the usual one.
pub(super) fn state_dir(flag: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match flag {
        Some(dir) => Ok(dir),
        None => Ok(config::default_state_dir(&ProcessEnvironment)?),
    }
}

/// Where the store is, unless the config file or the state directory says so.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct StoreFlag {
    /// The PostgreSQL database that several gateways share, as postgres://USER:PASSWORD@HOST:PORT/DATABASE; other
    /// users may see what stands on a command line, but not a variable [default: as the config file says, else a
    /// file of the state directory].
    #[arg(long, value_name = "URL", env = "DINGTALK_STORE", hide_env_values = true,
          value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Secret::new(text)))]
    store: Option<Secret>,
}

impl StoreFlag {
    /// Of a command that has no such flag.
    pub(super) fn of_environment() -> Self {
        Self { store: ProcessEnvironment.var("DINGTALK_STORE").map(Secret::new) }
    }

    /// Where it is; `configured` is what the config file says.
    pub(super) fn address(
        &self,
        state_dir: &Path,
        configured: Option<Box<PostgresAddress>>,
    ) -> Result<StoreAddress, Failure> {
        let text = self.store.as_ref().map(|store| store.expose().trim());
        let named = match text.filter(|text| !text.is_empty()) {
            None => configured,
            Some(text) => Some(Box::new(text.parse::<PostgresAddress>().map_err(|e| {
                Failure::new(ExitCode::Configuration, format!("--store or DINGTALK_STORE: {e}"))
            })?)),
        };
        Ok(named.map_or_else(|| StoreAddress::in_directory(state_dir), StoreAddress::Postgres))
    }

    /// Where it is, for a command that needs no robot.
    pub(super) fn find(&self, state_dir: &Path) -> Result<StoreAddress, Failure> {
        let is_given = self.store.as_ref().is_some_and(|store| !store.expose().trim().is_empty());
        let configured = if is_given { None } else { accounts::store(&ProcessEnvironment)? };
        self.address(state_dir, configured)
    }
}

/// Reads a store, which a robot may be working with.
pub(super) fn reader(store: &StoreAddress) -> Result<Box<dyn StoreReader>, Failure> {
    if let Some(reader) = store.reader()? {
        return Ok(reader);
    }
    let problem = format!(
        "no gateway has run with the state directory {}; name its directory with --state-dir",
        store.directory().unwrap_or(Path::new("")).display()
    );
    Err(Failure::new(ExitCode::StateDirectory, problem))
}
