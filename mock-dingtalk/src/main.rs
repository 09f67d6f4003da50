//! `mock-dingtalk`: DingTalk's stream gateway and OpenAPI as a local server.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
