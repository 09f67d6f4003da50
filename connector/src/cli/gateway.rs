//! `ddingtalk gateway`: connect the robot and keep it connected; look at it, stop it, restart it.

mod handover;
mod life;
mod reload;
mod restart;
mod robot;
mod run;
#[cfg(target_os = "linux")]
mod scope;
mod status;
mod stop;
mod systemd;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::access::state_dir;
use super::exit_code::Failure;
use crate::link::client::LinkError;
use crate::state_dir::Holder;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run in the foreground (the same as without a word).
    Run(Box<run::RunArgs>),
    /// How the running gateway is, account by account.
    Status(status::Args),
    /// Put a new process in the place of the running gateway, with its arguments and environment; messages arrive
    /// all the time.
    Restart(restart::Args),
    /// End the running gateway in order.
    Stop(stop::Args),
}

pub(super) use run::{host, tls_for};

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        None => run::run(args.run).await,
        Some(Verb::Run(args)) => run::run(*args).await,
        Some(Verb::Status(args)) => status::run(args).await,
        Some(Verb::Restart(args)) => restart::run(args).await,
        Some(Verb::Stop(args)) => stop::run(args).await,
    }
}

/// Which gateway is meant.
#[derive(Debug, Clone, clap::Args)]
struct Which {
    /// State directory of the gateway.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Which {
    fn dir(&self) -> Result<PathBuf, Failure> {
        state_dir(self.state_dir.clone())
    }

    /// The directory and the process that holds it.
    fn holder(&self) -> Result<(PathBuf, Option<Holder>), Failure> {
        let dir = self.dir()?;
        let holder = crate::state_dir::holder(&dir)?;
        Ok((dir, holder))
    }
}

fn not_running(dir: &Path) -> Failure {
    LinkError::NotRunning(dir.to_owned()).into()
}
