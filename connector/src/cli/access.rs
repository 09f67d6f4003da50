//! What the commands share that judge by the configuration: flags, accounts, the store.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::config::accounts::{Accounts, Overrides};
use crate::config::{self, ProcessEnvironment};
use crate::gateway::access::{DmPolicy, GroupPolicy};
use crate::store::sqlite::{FILE, SqliteReader, SqliteStore};

/// Flags that win over the config file, for every account.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct AccessArgs {
    /// Who may talk to the robot alone [default: as the config file says, else pairing].
    #[arg(long, value_enum)]
    dm_policy: Option<DmPolicy>,
    /// In which groups it answers [default: as the config file says, else allowlist].
    #[arg(long, value_enum)]
    group_policy: Option<GroupPolicy>,
}

impl AccessArgs {
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
        Overrides { dm_policy: self.dm_policy, group_policy: self.group_policy }
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
    /// Print JSON; times are milliseconds since 1970 UTC.
    #[arg(long)]
    pub(super) json: bool,
}

/// The directory that the flag names, or the usual one.
pub(super) fn state_dir(flag: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match flag {
        Some(dir) => Ok(dir),
        None => Ok(config::default_state_dir(&ProcessEnvironment)?),
    }
}

/// The store, which a robot may be working with; `None` where there was none yet.
pub(super) fn existing_store(state_dir: &Path) -> Result<Option<SqliteStore>, Failure> {
    let file = state_dir.join(FILE);
    if !file.exists() {
        return Ok(None);
    }
    Ok(Some(SqliteStore::open(&file)?))
}

/// Reads the store, which a robot may be working with.
pub(super) fn reader(state_dir: &Path) -> Result<SqliteReader, Failure> {
    let file = state_dir.join(FILE);
    if file.exists() {
        return Ok(SqliteReader::open(&file)?);
    }
    let problem = format!(
        "no gateway has run with the state directory {}; name its directory with --state-dir",
        state_dir.display()
    );
    Err(Failure::new(ExitCode::StateDirectory, problem))
}
