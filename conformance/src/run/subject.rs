//! The process of a bot.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use mock_dingtalk::{Model, Push, Subject};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Setup, quoted};

/// How much of the bot's output is kept, from its end.
const KEPT: usize = 4_000;
/// What was killed may take so long to be gone.
#[cfg(unix)]
const BURIAL: Duration = Duration::from_secs(2);
#[cfg(unix)]
const LOOK: Duration = Duration::from_millis(5);

/// A bot, its folder, and what it writes. All processes of its group are killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    line: String,
    push: Option<String>,
    env: Vec<(String, String)>,
    child: Child,
    log: PathBuf,
    model: Option<Model>,
    dir: TempDir,
}

impl Process {
    pub(super) fn start(
        setup: &Setup,
        mut env: Vec<(String, String)>,
        model: Option<Model>,
    ) -> io::Result<Self> {
        let dir = TempDir::with_prefix("dingtalk-conformance-")?;
        let state = dir.path().join("state");
        std::fs::create_dir(&state)?;
        let log = dir.path().join("output.txt");
        File::create(&log)?;
        let here = |command: &str| command.replace("{state}", &state.display().to_string());
        let (line, push) = (here(&setup.subject), setup.push_cmd.as_deref().map(here));
        let variables = model.iter().flat_map(Model::env);
        env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
        let child = spawn(&lasting(&line), &env, &log)?;
        Ok(Self { line, push, env, child, log, model, dir })
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
        self.signal(Signal::Kill);
        // One that cannot be killed is none of ours.
        let _ = self.child.kill().await;
    }

    /// The processes that the command started.
    #[cfg(unix)]
    fn group(&self) -> Option<rustix::process::Pid> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        id.and_then(rustix::process::Pid::from_raw)
    }

    /// Kills it, and waits until nothing of it is left that holds a lock or a port.
    #[cfg(unix)]
    async fn bury(&mut self) {
        let group = self.group();
        self.kill().await;
        let Some(group) = group else { return };
        let gone = async {
            // Only the process table tells, and it tells nobody by itself.
            while rustix::process::test_kill_process_group(group).is_ok() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // Where nobody collects the dead they stay in the table.
        let _ = tokio::time::timeout(BURIAL, gone).await;
    }

    #[cfg(not(unix))]
    async fn bury(&mut self) {
        self.kill().await;
    }

    /// Reaches what the command started, too.
    #[cfg(unix)]
    fn signal(&self, signal: Signal) {
        use rustix::process::{Signal as Unix, kill_process_group};

        if let Some(group) = self.group() {
            let signal = match signal {
                Signal::Kill => Unix::KILL,
                Signal::Terminate => Unix::TERM,
            };
            // It may be gone.
            let _ = kill_process_group(group, signal);
        }
    }

    #[cfg(not(unix))]
    fn signal(&self, _signal: Signal) {}
}

#[derive(Debug, Clone, Copy)]
enum Signal {
    Kill,
    Terminate,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
    }
}

impl Subject for Process {
    async fn restart(&mut self) -> Result<(), String> {
        self.bury().await;
        let child = spawn(&lasting(&self.line), &self.env, &self.log);
        self.child = child.map_err(|e| e.to_string())?;
        Ok(())
    }

    async fn stop(&mut self, within: Duration) -> Result<Option<ExitStatus>, String> {
        if let Some(status) = self.ended() {
            return Err(format!("the bot had ended before: {status}"));
        }
        self.signal(Signal::Terminate);
        status_of(&mut self.child, within).await
    }

    async fn push(&mut self, push: &Push, within: Duration) -> Result<Option<ExitStatus>, String> {
        let Some(line) = &self.push else {
            return Err("there is no --push-cmd".to_owned());
        };
        let media = match &push.media {
            None => String::new(),
            Some(media) => {
                let path = self.dir.path().join(&media.name);
                std::fs::write(&path, &media.bytes).map_err(|e| e.to_string())?;
                path.display().to_string()
            }
        };
        let line = filled(
            line,
            &[("{target}", &push.target), ("{text}", &push.text), ("{media}", &media)],
        );
        let mut child = spawn(&line, &self.env, &self.log).map_err(|e| e.to_string())?;
        status_of(&mut child, within).await
    }

    fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }
}

/// The shell stays until the bot has ended, and ends with its status.
fn lasting(line: &str) -> String {
    format!("trap : TERM; {line}")
}

/// The line with words in the places that are for them, each quoted; what stands in the words stays.
fn filled(line: &str, words: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((place, word)) = words.iter().find(|(place, _)| rest.starts_with(place)) {
            filled.push_str(&quoted(word));
            rest = &rest[place.len()..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}

/// How a process ends, if it does in time.
async fn status_of(child: &mut Child, within: Duration) -> Result<Option<ExitStatus>, String> {
    match tokio::time::timeout(within, child.wait()).await {
        Ok(status) => status.map(Some).map_err(|error| error.to_string()),
        Err(_) => Ok(None),
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

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn words_are_quoted_and_not_filled_again() {
        let words = [("{target}", "user:a"), ("{text}", "it's {media}"), ("{media}", "")];
        for (line, expected) in [
            ("p {target} {text}", r"p 'user:a' 'it'\''s {media}'"),
            ("m={media}; p ${m:+-m \"$m\"}", "m=''; p ${m:+-m \"$m\"}"),
            ("p {other} {", "p {other} {"),
        ] {
            assert_eq!(filled(line, &words), expected);
        }
    }
}
