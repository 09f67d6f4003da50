//! `mock-dingtalk serve`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;

use super::{
    Start,
    exit_code::Exit,
    ready::{self, ReadyFile},
    signals::Signals,
};

/// Serve until interrupted.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    start: Start,
}

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        // Before the ready line: whoever reads it may send a signal at once.
        let mut signals = Signals::listen()?;
        let mock = self.start.start().await?;
        let line = ready::line(&mock);
        let _file = self
            .start
            .ready_file
            .as_deref()
            .map(|path| ReadyFile::write(path, &line))
            .transpose()?;
        let mut stdout = io::stdout().lock();
        // Nobody may be reading; the mock serves all the same.
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        drop(stdout);
        signals.next().await;
        Ok(ExitCode::SUCCESS)
    }
}
