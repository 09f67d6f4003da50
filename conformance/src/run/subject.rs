//! The process of a bot.

mod output;

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use mock_dingtalk::{Model, ProcessGroup, Push, Subject};
use tempfile::TempDir;
use tokio::process::Command;

use self::output::Output;
use super::{Setup, quoted};

/// What was killed wrote may take so long to be read.
const BURIAL: Duration = Duration::from_secs(2);

/// A bot, its folder, and what it writes. All processes of its group are killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    line: String,
    push: Option<String>,
    env: Vec<(String, String)>,
    running: ProcessGroup,
    output: Output,
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
        let here = |command: &str| command.replace("{state}", &state.display().to_string());
        let (line, push) = (here(&setup.subject), setup.push_cmd.as_deref().map(here));
        let variables = model.iter().flat_map(Model::env);
        env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
        let output = Output::new()?;
        let running = start(&lasting(&line), &env, &output)?;
        Ok(Self { line, push, env, running, output, model, dir })
    }

    /// How it ended, if it did.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        self.running.child.try_wait().ok().flatten()
    }

    /// Ends it, and says what it wrote last.
    pub(super) async fn end(mut self) -> String {
        self.running.kill().await;
        self.output.tail(BURIAL).await
    }
}

/// Starts a shell.
fn start(line: &str, env: &[(String, String)], output: &Output) -> io::Result<ProcessGroup> {
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output.writer()?)
        .stderr(output.writer()?);
    ProcessGroup::spawn(&mut command)
}

/// How a shell ends, if it does in time.
async fn status_within(
    shell: &mut ProcessGroup,
    within: Duration,
) -> Result<Option<ExitStatus>, String> {
    match tokio::time::timeout(within, shell.child.wait()).await {
        Ok(status) => status.map(Some).map_err(|error| error.to_string()),
        Err(_) => Ok(None),
    }
}

impl Subject for Process {
    async fn restart(&mut self) -> Result<(), String> {
        self.running.bury().await;
        let running = start(&lasting(&self.line), &self.env, &self.output);
        self.running = running.map_err(|e| e.to_string())?;
        Ok(())
    }

    /// One that ends well may have left its work to another process.
    async fn ended(&mut self) -> ExitStatus {
        match self.running.child.wait().await {
            Ok(status) if !status.success() => status,
            _ => std::future::pending().await,
        }
    }

    async fn stop(&mut self, within: Duration) -> Result<Option<ExitStatus>, String> {
        if let Some(status) = self.status() {
            return Err(format!("the bot had ended before: {status}"));
        }
        self.running.terminate();
        status_within(&mut self.running, within).await
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
        let running = start(&line, &self.env, &self.output);
        status_within(&mut running.map_err(|e| e.to_string())?, within).await
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

#[cfg(test)]
mod tests {
    use super::filled;

    /// The pipe ends when the last process is gone that has it.
    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_shell_left_behind_is_killed_with_it() {
        use std::io::{BufRead as _, BufReader, Read as _};

        use mock_dingtalk::Subject as _;

        use super::{Process, Setup};

        let dir = tempfile::tempdir().unwrap();
        // Each start has a pipe of its own.
        let pipes = ["0", "1"].map(|name| dir.path().join(name));
        assert!(std::process::Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let open = |pipe: std::path::PathBuf| async {
            let opened = tokio::task::spawn_blocking(move || {
                let mut bot = BufReader::new(std::fs::File::open(pipe).unwrap());
                bot.read_line(&mut String::new()).unwrap();
                bot
            });
            opened.await.unwrap()
        };
        let gone = |mut bot: BufReader<std::fs::File>| async {
            let read = tokio::task::spawn_blocking(move || bot.read_to_end(&mut Vec::new()));
            tokio::time::timeout(super::BURIAL, read)
                .await
                .expect("it is killed")
                .unwrap()
                .unwrap();
        };
        let line = format!(
            "cd '{}'; n=0; [ -e again ] && n=1; touch again; exec 3>$n; echo here >&3; sleep 600 &",
            dir.path().display()
        );
        let setup = Setup { subject: line, ..Setup::default() };
        let mut process = Process::start(&setup, Vec::new(), None).unwrap();
        let [pipe, other] = pipes;
        let first = open(pipe).await;
        assert!(process.running.child.wait().await.unwrap().success());
        process.restart().await.unwrap();
        let second = open(other).await;
        gone(first).await;
        assert!(process.running.child.wait().await.unwrap().success());
        process.end().await;
        gone(second).await;
    }

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
