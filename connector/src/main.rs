//! `ddingtalk`: connects a DingTalk app robot to an AI agent.

use clap::Parser;
use dingtalk_connector::cli;

fn main() -> std::process::ExitCode {
    cli::run(cli::Cli::parse()).into()
}
