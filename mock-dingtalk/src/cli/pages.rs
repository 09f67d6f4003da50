//! `openapi` and `coverage`: what this program can do. No mock has to run for them.

use std::process::ExitCode;

use clap::Args;
use mock_dingtalk::MockDingtalk;

use super::{exit_code::Exit, print};

/// Print the control API as OpenAPI 3.1.
#[derive(Debug, Args)]
pub(super) struct Openapi {
    /// Print JSON, as it does in any case.
    #[arg(long)]
    json: bool,
}

impl Openapi {
    pub(super) fn run(&self) -> Result<ExitCode, Exit> {
        // It is JSON, whether that is asked for or not.
        let Self { json: _ } = self;
        print::json(&MockDingtalk::openapi())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Print what is modelled, how well, and by which source.
#[derive(Debug, Args)]
pub(super) struct Coverage {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Coverage {
    pub(super) fn run(self) -> Result<ExitCode, Exit> {
        let ledger = MockDingtalk::coverage();
        if self.json {
            print::json(&ledger)?;
            return Ok(ExitCode::SUCCESS);
        }
        let endpoints = [
            ("METHOD", "/method"),
            ("PATH", "/path"),
            ("STATUS", "/status"),
            ("SOURCE", "/source"),
            ("NOTE", "/note"),
        ];
        print::rows(&ledger["endpoints"], &endpoints, false)?;
        print::text("\n")?;
        let behaviours =
            [("AREA", "/area"), ("BEHAVIOUR", "/name"), ("STATUS", "/status"), ("NOTE", "/note")];
        print::rows(&ledger["behaviours"], &behaviours, false)?;
        Ok(ExitCode::SUCCESS)
    }
}
