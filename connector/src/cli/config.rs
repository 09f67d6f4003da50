//! `ddingtalk config`: where the settings come from, and whether they hold.

use std::path::PathBuf;

use clap::Subcommand;

use super::access::AccessArgs;
use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::config::{ProcessEnvironment, file};
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print where the config file is looked for.
    Path,
    /// Print a setting as the config file has it, as JSON; secrets are masked.
    Get {
        /// Its path in channels.ddingtalk, such as accounts.sales.dmPolicy; all of it if not given.
        #[arg(value_name = "PATH", default_value = "")]
        path: String,
    },
    /// Read environment and file as `gateway` does; name what is wrong.
    Validate(AccessArgs),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.verb {
        Verb::Path => output::data(&path()?.display().to_string()),
        Verb::Get { path: setting } => {
            let file = path()?;
            match file::setting(&file, setting)? {
                Some(value) => output::data(&value.to_string()),
                None => Err(Failure::new(
                    ExitCode::Failed,
                    format!(
                        "{setting:?} is not set in channels.ddingtalk of {}; `ddingtalk config get` \
                         prints what is",
                        file.display()
                    ),
                )),
            }
        }
        Verb::Validate(access) => {
            telemetry::start(false);
            let accounts = access.accounts()?;
            crate::config::endpoints(&ProcessEnvironment)?;
            let from =
                accounts.file.map_or("the environment".to_owned(), |f| f.display().to_string());
            let names: Vec<_> = accounts.accounts.iter().map(|a| a.name.as_str()).collect();
            output::data(&format!("valid: {from} (accounts: {})", names.join(", ")))
        }
    }
}

fn path() -> Result<PathBuf, Failure> {
    file::path(&ProcessEnvironment).ok_or_else(|| {
        Failure::new(
            ExitCode::Configuration,
            "HOME is not set; name the config file in OPENCLAW_CONFIG_PATH",
        )
    })
}
