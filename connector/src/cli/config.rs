//! `ddingtalk config`: where the settings come from, and whether they hold.

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
    /// Read environment and file as `gateway` does; name what is wrong.
    Validate(AccessArgs),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Path => match file::path(&ProcessEnvironment) {
            Some(path) => output::data(&path.display().to_string()),
            None => Err(Failure::new(
                ExitCode::Configuration,
                "HOME is not set; name the config file in OPENCLAW_CONFIG_PATH",
            )),
        },
        Verb::Validate(access) => {
            telemetry::start(false);
            let accounts = access.accounts()?;
            let from =
                accounts.file.map_or("the environment".to_owned(), |f| f.display().to_string());
            let names: Vec<_> = accounts.accounts.iter().map(|a| a.name.as_str()).collect();
            output::data(&format!("valid: {from} (accounts: {})", names.join(", ")))
        }
    }
}
