//! `mock-dingtalk scenario`.

mod before;

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use clap::{Args, Subcommand};
use mock_dingtalk::{
    AppOptions, MockDingtalk, ProcessGroup, RemoteApp, Scenario as File, ScenarioFailure, Stage,
    Subject,
};
use serde_json::{Value, json};
use tokio::process::Command;

use self::before::Before;
use super::{
    client::OfApp,
    exit_code::Exit,
    print::{self, Column},
    signals::{Ending, Signals},
};

/// Play scenarios against a bot.
#[derive(Debug, Args)]
pub(super) struct Scenario {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play files, one after the other, and say which ones the bot passes.
    ///
    /// Without COMMAND: against the bot that is connected to a running mock as its app. With
    /// COMMAND: in a mock and an app of its own for each file, with that bot started anew.
    Run(Box<Run>),
    /// Print the JSON Schema of such a file.
    Schema,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    of: OfApp,
    /// Seed of everything that is made up; only with COMMAND.
    #[arg(long, value_name = "N", requires = "command")]
    seed: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The bot. Its output goes to standard error.
    #[arg(last = true)]
    command: Vec<OsString>,
}

const COLUMNS: &[Column] =
    &[("VERDICT", "/verdict"), ("FILE", "/file"), ("TITLE", "/title"), ("WHY", "/why")];

impl Scenario {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        match self.verb {
            Verb::Run(run) => run.run().await,
            Verb::Schema => {
                print::json(&File::schema())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Run {
    async fn run(self) -> Result<ExitCode, Exit> {
        // What cannot be read is known before anything is played.
        let mut scenarios = Vec::new();
        for path in &self.files {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                Exit::usage(format!("cannot read {file}: {error}; give a scenario file"))
            })?;
            let scenario = File::read(&text).map_err(|error| {
                Exit::usage(format!("{file}: {error}; `scenario schema` prints what it may hold"))
            })?;
            scenarios.push((file, scenario));
        }
        let mut signals = Signals::listen()?;
        let (mut rows, mut failed) = (Vec::new(), false);
        for (file, scenario) in scenarios {
            let play = async {
                if self.command.is_empty() {
                    self.play_there(&scenario).await
                } else {
                    self.play_here(&scenario).await
                }
            };
            // With what is dropped goes the bot.
            let played = tokio::select! {
                played = play => played?,
                signal = signals.next() => return Ok(ended_by(signal)),
            };
            failed |= played.is_err();
            let verdict = match &played {
                Ok(()) => "pass",
                Err(ScenarioFailure::Unmet { .. }) => "fail",
                Err(ScenarioFailure::Broken { .. }) => "untestable",
            };
            let why = played.err().map(|failure| failure.to_string());
            rows.push(json!({
                "file": file,
                "title": scenario.title,
                "verdict": verdict,
                "why": why,
            }));
        }
        print::rows(&Value::from(rows), COLUMNS, self.json)?;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// On the app of a running mock, whose bot is somebody else's. What the file sets and breaks is as
    /// before when it is over.
    async fn play_there(&self, scenario: &File) -> Result<Result<(), ScenarioFailure>, Exit> {
        let (client, app) = self.of.find().await?;
        let before = Before::of(&client, &app).await?;
        before::settle(&client, &app, scenario.app_body()).await?;
        let stage = RemoteApp::named(client.clone(), &app);
        let played = scenario.play(&stage, &mut Bot::Elsewhere).await;
        before.restore(&client, &app).await?;
        Ok(played)
    }

    async fn play_here(&self, scenario: &File) -> Result<Result<(), ScenarioFailure>, Exit> {
        let mut builder = MockDingtalk::builder();
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        let mock = builder.start().await.map_err(|error| Exit::unavailable(error.to_string()))?;
        let options: AppOptions = scenario.app_options();
        let app = mock.app_with(options).map_err(|error| Exit::usage(error.to_string()))?;
        let stage = Stage::from(&app);
        let env = stage.env().await.map_err(|error| Exit::cannot_create(error.to_string()))?;
        let line = Line { command: self.command.clone(), env };
        let running = line.start().map_err(|error| {
            let program = line.command[0].display();
            match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Exit::not_found(format!("there is no command `{program}`; check its path"))
                }
                _ => Exit::not_executable(format!("cannot start `{program}`: {error}")),
            }
        })?;
        let mut bot = Bot::Ours(Box::new(Started { line, running }));
        let played = scenario.play(&stage, &mut bot).await;
        bot.end().await;
        Ok(played)
    }
}

/// 128 + N for signal N.
fn ended_by(signal: Ending) -> ExitCode {
    ExitCode::from(match signal {
        Ending::HangUp => 129,
        Ending::Interrupt => 130,
        Ending::Terminate => 143,
    })
}

/// How a bot is started.
#[derive(Debug)]
struct Line {
    command: Vec<OsString>,
    env: Vec<(String, String)>,
}

impl Line {
    /// In a process group of its own, so that what it starts ends with it.
    fn start(&self) -> std::io::Result<ProcessGroup> {
        let (program, arguments) = self.command.split_first().expect("there is a command");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(std::process::Stdio::null())
            .stdout(std::io::stderr());
        ProcessGroup::spawn(&mut command)
    }
}

/// A bot that runs.
#[derive(Debug)]
struct Started {
    line: Line,
    running: ProcessGroup,
}

/// Who is played against.
#[derive(Debug)]
enum Bot {
    /// A bot that somebody else has started.
    Elsewhere,
    /// One of ours.
    Ours(Box<Started>),
}

impl Bot {
    async fn end(&mut self) {
        if let Self::Ours(bot) = self {
            bot.running.bury().await;
        }
    }
}

impl Subject for Bot {
    async fn restart(&mut self) -> Result<(), String> {
        self.end().await;
        match self {
            Self::Elsewhere => {
                Err("the bot was started elsewhere; give its command after --".to_owned())
            }
            Self::Ours(bot) => {
                bot.running = bot.line.start().map_err(|error| error.to_string())?;
                Ok(())
            }
        }
    }

    /// One that ends well may have left its work to another process.
    async fn ended(&mut self) -> ExitStatus {
        if let Self::Ours(bot) = self
            && let Ok(status) = bot.running.child.wait().await
            && !status.success()
        {
            return status;
        }
        std::future::pending().await
    }
}
