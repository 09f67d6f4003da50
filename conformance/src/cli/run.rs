//! `dingtalk-conformance run`: cases are played against a bot.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use dingtalk_conformance::run::{Baseline, Outcome, Report, Setup};
use mock_dingtalk::ControlClient;
use url::Url;

use super::{Answer, CliError, Status, list::Selection};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Command line of the bot, for sh; {state} stands for a folder of each case.
    #[arg(long, value_name = "CMD")]
    subject: String,
    /// What it can do beside echoing texts: groups, events, fallback, retry, durable.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    capabilities: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Folder for results.json and junit.xml.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Failures that are known: lines of "area/case" = "reason". Stale ones fail.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Seed of all that the mock makes up.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
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

impl Run {
    pub(super) fn run(&self) -> Result<Answer, CliError> {
        let (suite, cases) = self.selection.read()?;
        let baseline = self.baseline.as_deref().map(Baseline::load).transpose()?;
        let mock = self.mock.as_ref().map(ControlClient::to).transpose().map_err(CliError::Mock)?;
        let setup = Setup {
            subject: self.subject.clone(),
            capabilities: self.capabilities.iter().cloned().collect(),
            seed: self.seed,
            mock: mock.map(|mock| mock.with_token(self.admin_token.clone())),
        };
        let runtime = tokio::runtime::Runtime::new().map_err(CliError::Start)?;
        let mut outcomes = runtime.block_on(setup.run_all(&suite, cases, self.jobs, tell));
        let exists = |id: &str| suite.cases().any(|case| case.id() == id);
        let stale = baseline.unwrap_or_default().apply(&mut outcomes, exists);
        let report = Report::new(self.subject.clone(), self.seed, outcomes, stale);
        if let Some(dir) = &self.report {
            report.write(dir).map_err(|source| CliError::Report { path: dir.clone(), source })?;
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
