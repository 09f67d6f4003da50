//! The process of a bot.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use mock_dingtalk::Subject;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How much of the bot's output is kept, from its end.
const KEPT: usize = 4_000;

/// A bot, its folder, and what it writes. All processes of its group are killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    line: String,
    env: Vec<(String, String)>,
    child: Child,
    log: PathBuf,
    _dir: TempDir,
}

impl Process {
    pub(super) fn start(command: &str, env: Vec<(String, String)>) -> io::Result<Self> {
        let dir = TempDir::with_prefix("dingtalk-conformance-")?;
        let state = dir.path().join("state");
        std::fs::create_dir(&state)?;
        let log = dir.path().join("output.txt");
        File::create(&log)?;
        let line = command.replace("{state}", &state.display().to_string());
        let child = spawn(&line, &env, &log)?;
        Ok(Self { line, env, child, log, _dir: dir })
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it, and says what it wrote last.
    pub(super) async fn stop(mut self) -> String {
        self.kill().await;
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text[text.ceil_char_boundary(text.len().saturating_sub(KEPT))..].to_owned()
    }

    async fn kill(&mut self) {
        self.signal();
        // One that cannot be killed is none of ours.
        let _ = self.child.kill().await;
    }

    /// Kills what the command started, too.
    #[cfg(unix)]
    fn signal(&self) {
        use rustix::process::{Pid, Signal, kill_process_group};

        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            // It may be gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    #[cfg(not(unix))]
    fn signal(&self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal();
    }
}

impl Subject for Process {
    async fn restart(&mut self) -> Result<(), String> {
        self.kill().await;
        self.child = spawn(&self.line, &self.env, &self.log).map_err(|e| e.to_string())?;
        Ok(())
    }
}

fn spawn(line: &str, env: &[(String, String)], log: &PathBuf) -> io::Result<Child> {
    let out = OpenOptions::new().append(true).open(log)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    command.spawn()
}
