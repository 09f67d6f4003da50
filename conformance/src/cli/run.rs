//! `dingtalk-conformance run`: cases are played against a bot.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use dingtalk_conformance::run::{Baseline, Outcome, Report, Setup, capabilities};
use dingtalk_conformance::suite::{Case, Suite};
use mock_dingtalk::ControlClient;
use tokio::sync::mpsc;
use url::Url;

use super::{Answer, CliError, Status, list::Selection, signals::Signals};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Command line of the bot, for sh; {state} stands for a folder of each case.
    #[arg(long, value_name = "CMD")]
    subject: String,
    /// What it can do beside echoing texts, such as groups,media; the README lists all.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    capabilities: Vec<String>,
    /// Command line that has it send a message, for sh; {target}, {text} and {media} stand for a word
    /// each, {media} for an empty one where there is no file.
    #[arg(long, value_name = "CMD")]
    push_cmd: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Folder for results.json, junit.xml and report.html.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Failures that are known: lines of "area/case" = "reason". Stale ones fail.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Seed of all that the mock makes up: a number, or `random`.
    #[arg(long, value_name = "N", default_value = "1", value_parser = seed)]
    seed: u64,
    /// Play each case so many times, each time with another seed made of the first one. A case that
    /// passes and does not pass is flaky, and fails.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// A mock that runs already, instead of one of its own for each case.
    #[arg(long, value_name = "URL")]
    mock: Option<Url>,
    /// The admin token of that mock, if it wants one.
    #[arg(long, value_name = "TOKEN", env = "MOCK_DINGTALK_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// How many cases are played at the same time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    jobs: usize,
}

fn seed(text: &str) -> Result<u64, String> {
    match text {
        "random" => Ok(rand::random()),
        number => number.parse().map_err(|_| "give a number, or random".to_owned()),
    }
}

impl Run {
    pub(super) fn run(&self) -> Result<Answer, CliError> {
        let (suite, cases) = self.selection.read()?;
        let baseline = self.baseline.as_deref().map(Baseline::load).transpose()?;
        let capabilities = capabilities(self.capabilities.iter().map(String::as_str))?;
        if capabilities.contains("push") && self.push_cmd.is_none() {
            return Err(CliError::NoPushCommand);
        }
        let mock = self.mock.as_ref().map(ControlClient::to).transpose().map_err(CliError::Mock)?;
        let setup = Setup {
            subject: self.subject.clone(),
            capabilities,
            push_cmd: self.push_cmd.clone(),
            seed: self.seed,
            mock: mock.map(|mock| mock.with_token(self.admin_token.clone())),
            dir: self.selection.other_dir(),
        };
        if let Some(dir) = &self.report {
            // What was played would be lost in the end.
            probe(dir).map_err(|source| CliError::WriteFile { path: dir.clone(), source })?;
        }
        let runtime = tokio::runtime::Runtime::new().map_err(CliError::Start)?;
        let played = runtime.block_on(self.play(&setup, &suite, &cases));
        // With it go the processes of cases that were not played to their end.
        drop(runtime);
        let mut outcomes = played?;
        let exists = |id: &str| suite.cases().any(|case| case.id() == id);
        let applied = baseline.unwrap_or_default().apply(&mut outcomes, exists);
        let report = Report::of(&suite, &setup, outcomes, applied);
        let mut status = if report.passed { Status::Clean } else { Status::Findings };
        if let Some(dir) = &self.report
            && let Err(source) = report.write(dir)
        {
            let error = CliError::WriteFile { path: dir.clone(), source };
            status = error.status();
            // Standard error may be closed; the exit status says it too.
            let _ = error.explain(&mut std::io::stderr().lock());
        }
        Ok(Answer { status, text: report.summary() })
    }

    /// Plays the cases, until a signal comes or it is clear that there is no bot.
    async fn play(
        &self,
        setup: &Setup,
        suite: &Suite,
        cases: &[Case],
    ) -> Result<Vec<Outcome>, CliError> {
        let mut signals = Signals::listen().map_err(CliError::Start)?;
        if let Some(mock) = &setup.mock {
            let ready = mock.get(mock.at(&["ready"]));
            ready.await.map_err(CliError::Mock)?;
        }
        let (told, mut hopeless) = mpsc::unbounded_channel();
        let count = Cell::new(0);
        let mut first = First::default();
        let tell = |outcome: &Outcome| {
            tell(outcome);
            count.set(count.get() + 1);
            if let Some(error) = first.hear(outcome) {
                // Whoever hears it first ends the run.
                let _ = told.send(error);
            }
        };
        let rounds = setup.clone().run_rounds(suite, cases, self.repeat, self.jobs, tell);
        tokio::select! {
            biased;
            status = signals.next() => Err(CliError::Ended { status, played: count.get() }),
            Some(error) = hopeless.recv() => Err(error),
            outcomes = rounds => match hopeless.try_recv() {
                Ok(error) => Err(error),
                Err(_) => Ok(outcomes),
            },
        }
    }
}

/// The first cases that were played. If `sh` could run the bot in none of them, it will not in others.
#[derive(Debug, Default)]
struct First {
    not_run: usize,
    over: bool,
}

impl First {
    /// So many cases are enough to tell.
    const ENOUGH: usize = 3;

    fn hear(&mut self, outcome: &Outcome) -> Option<CliError> {
        let code = outcome.not_run();
        self.over |= code.is_none() && outcome.verdict.is_played();
        self.not_run += usize::from(code.is_some());
        let code = code.filter(|_| !self.over && self.not_run == Self::ENOUGH)?;
        Some(CliError::NoBot { code, said: outcome.output.clone() })
    }
}

/// Makes a folder if need be, and tries whether files can be made in it.
fn probe(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    tempfile::tempfile_in(dir).map(|_| ())
}

/// Progress, on standard error.
fn tell(outcome: &Outcome) {
    let (verdict, millis) = (outcome.verdict.as_str(), outcome.millis);
    // Whoever closed it does not want to know.
    let _ = writeln!(std::io::stderr(), "{verdict:14} {:6} ms  {}", millis, outcome.case);
}
