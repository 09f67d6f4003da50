//! `mock-dingtalk run -- COMMAND`.

use std::{
    ffi::OsString,
    io,
    process::{ExitCode, ExitStatus},
};

use clap::Args;
use mock_dingtalk::AppOptions;
use tokio::process::{Child, Command};

use super::{
    Start,
    exit_code::Exit,
    ready::{self, ReadyFile},
    signals::{Ending, Signals},
};

/// Serve while COMMAND runs.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    start: Start,
    /// `clientId` of the app that is minted for COMMAND; made up if not given.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The bot, or whatever starts it. Its stdin, stdout and stderr stay its own.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl Run {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let mut signals = Signals::listen()?;
        let mock = self.start.start().await?;
        let mut options = AppOptions::default();
        if let Some(id) = &self.client_id {
            options = options.client_id(id);
        }
        let app = mock.app_with(options).map_err(|error| Exit::usage(error.to_string()))?;
        let line = ready::line(&mock);
        let _file = self
            .start
            .ready_file
            .as_deref()
            .map(|path| ReadyFile::write(path, &line))
            .transpose()?;
        let env = app.env().map_err(|error| Exit::cannot_create(error.to_string()))?;
        let (program, arguments) = self.command.split_first().expect("clap requires a command");
        let mut command = Command::new(program);
        command.args(arguments).envs(env).kill_on_drop(true);
        if let Some(token) = mock.admin_token() {
            command.env("MOCK_DINGTALK_ADMIN_TOKEN", token);
        }
        let mut child = command.spawn().map_err(|error| {
            let program = program.display();
            if error.kind() == io::ErrorKind::NotFound {
                Exit::not_found(format!("there is no command `{program}`; check its path"))
            } else {
                Exit::not_executable(format!("cannot start `{program}`: {error}"))
            }
        })?;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    let status = ended
                        .map_err(|e| Exit::failed(format!("lost sight of the command: {e}")))?;
                    return Ok(ExitCode::from(exit_code(status)));
                }
                signal = signals.next() => pass_on(signal, &child),
            }
        }
    }
}

/// Gives a signal to the command, which decides when to end.
#[cfg(unix)]
fn pass_on(signal: Ending, child: &Child) {
    use std::io::IsTerminal as _;

    use rustix::process::{Pid, Signal, kill_process};

    let signal = match signal {
        // A terminal has sent Ctrl-C to the command already: it is in the same group.
        Ending::Interrupt if io::stdin().is_terminal() => return,
        Ending::Interrupt => Signal::INT,
        Ending::Terminate => Signal::TERM,
        Ending::HangUp => Signal::HUP,
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now; then `wait` says so.
        let _ = kill_process(pid, signal);
    }
}

/// The console gives Ctrl-C to the command by itself.
#[cfg(not(unix))]
fn pass_on(_: Ending, _: &Child) {}

/// The command's own code, or 128 + N if signal N ended it.
fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(1)
}
