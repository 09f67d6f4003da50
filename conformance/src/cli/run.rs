//! `dingtalk-conformance run`: cases are played against a bot.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use dingtalk_conformance::run::{Baseline, Outcome, Report, Setup, capabilities};
use mock_dingtalk::ControlClient;
use url::Url;

use super::{Answer, CliError, Status, list::Selection};

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
        };
        let runtime = tokio::runtime::Runtime::new().map_err(CliError::Start)?;
        let rounds = setup.clone().run_rounds(&suite, &cases, self.repeat, self.jobs, tell);
        let mut outcomes = runtime.block_on(rounds);
        let exists = |id: &str| suite.cases().any(|case| case.id() == id);
        let stale = baseline.unwrap_or_default().apply(&mut outcomes, exists);
        let report = Report::new(&suite, &setup, outcomes, stale);
        if let Some(dir) = &self.report {
            report
                .write(dir)
                .map_err(|source| CliError::WriteFile { path: dir.clone(), source })?;
        }
        let status = if report.passed { Status::Clean } else { Status::Findings };
        Ok(Answer { status, text: report.summary() })
    }
}

/// Progress, on standard error.
fn tell(outcome: &Outcome) {
    let (verdict, millis) = (outcome.verdict.as_str(), outcome.millis);
    // Whoever closed it does not want to know.
    let _ = writeln!(std::io::stderr(), "{verdict:14} {:6} ms  {}", millis, outcome.case);
}
