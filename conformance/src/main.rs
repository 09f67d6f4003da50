//! The program `dingtalk-conformance`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

mod cli;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let status = cli.run(&mut std::io::stdout().lock()).unwrap_or_else(|error| {
        // Standard error may be closed as well; there is nobody left to tell.
        let _ = error.explain(&mut std::io::stderr().lock());
        error.status()
    });
    let _ = std::io::stderr().flush();
    status.into()
}
