//! `ddingtalk completion`: what a shell needs to complete commands and flags.

use clap::CommandFactory;
use clap_complete::Shell;

use super::exit_code::Failure;
use super::{Cli, output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell; its own documentation says where the script belongs.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ddingtalk", &mut script);
    output::data(String::from_utf8_lossy(&script).trim_end())
}
