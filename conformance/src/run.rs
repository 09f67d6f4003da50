//! Playing cases against a bot, and judging it.

mod baseline;
mod junit;
mod report;
mod subject;
mod verdict;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use mock_dingtalk::{App, MockDingtalk, ScenarioFailure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::baseline::{Baseline, BaselineError};
pub use self::report::Report;
use self::subject::Process;
pub use self::verdict::{Outcome, Verdict};
use crate::suite::{Case, Level, Suite};

/// How many lines of the journal a failing case shows.
const SLICE: usize = 40;

/// How bots are run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The command line of the bot, for `sh`. `{state}` stands for a folder that is empty at the
    /// start of a case and stays over restarts in it.
    pub subject: String,
    /// What it declares to be able to do beside echoing texts.
    pub capabilities: BTreeSet<String>,
    /// Seed of all that the mock makes up.
    pub seed: u64,
}

impl Setup {
    /// Plays one case, in a mock and with a process of its own.
    pub async fn run(&self, case: &Case, level: Level) -> Outcome {
        let start = Instant::now();
        let scenario = case.scenario();
        let missing: Vec<&str> = scenario
            .needs
            .iter()
            .filter(|need| !self.capabilities.contains(*need))
            .map(String::as_str)
            .collect();
        let mut outcome = Outcome::new(case, level, self.repro(case));
        if missing.is_empty() {
            self.play(case, level, &mut outcome).await;
        } else {
            outcome.verdict = Verdict::NotApplicable;
            outcome.why = Some(format!("the bot does not declare {}", missing.join(", ")));
        }
        outcome.millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        outcome
    }

    async fn play(&self, case: &Case, level: Level, outcome: &mut Outcome) {
        let (mock, app) = match self.mock(case).await {
            Ok(found) => found,
            Err(error) => return outcome.untestable(format!("the mock does not start: {error}")),
        };
        let mut process = match Process::start(&self.subject, &app) {
            Ok(process) => process,
            Err(error) => return outcome.untestable(format!("the bot does not start: {error}")),
        };
        let played = case.scenario().play(&app, &mut process).await;
        let ended = process.ended();
        let output = process.stop().await;
        if let Err(failure) = played {
            match failure {
                ScenarioFailure::Unmet { .. } => outcome.verdict = Verdict::of_unmet(level),
                ScenarioFailure::Broken { .. } => outcome.verdict = Verdict::Untestable,
            }
            let ended = ended.map(|status| format!("; the bot had ended: {status}"));
            outcome.why = Some(format!("{failure}{}", ended.unwrap_or_default()));
            outcome.journal = journal(&app);
            outcome.output = output;
        }
        drop(mock);
    }

    async fn mock(&self, case: &Case) -> Result<(MockDingtalk, App), mock_dingtalk::MockError> {
        let mock = MockDingtalk::builder().seed(self.seed).start().await?;
        let app = mock.app_with(case.scenario().app_options())?;
        Ok((mock, app))
    }

    /// The command that plays one case alone again.
    fn repro(&self, case: &Case) -> String {
        let subject = self.subject.replace('\'', r"'\''");
        let names: Vec<_> = self.capabilities.iter().map(String::as_str).collect();
        let names = match names.as_slice() {
            [] => String::new(),
            names => format!(" --capabilities {}", names.join(",")),
        };
        let (case, seed) = (case.id(), self.seed);
        format!("dingtalk-conformance run --subject '{subject}'{names} --case {case} --seed {seed}")
    }

    /// Plays cases, at most `jobs` at the same time, and tells of each as it ends.
    pub async fn run_all(
        self,
        suite: &Suite,
        mut cases: Vec<Case>,
        jobs: usize,
        mut ended: impl FnMut(&Outcome),
    ) -> Vec<Outcome> {
        let setup = Arc::new(self);
        let places = Arc::new(Semaphore::new(jobs.max(1)));
        let mut running = JoinSet::new();
        // What may take longest begins first, so that nothing long is left for the end.
        cases.sort_by_key(|case| std::cmp::Reverse(case.scenario().patience));
        for case in cases {
            let (setup, places) = (Arc::clone(&setup), Arc::clone(&places));
            let level = suite.level(&case);
            running.spawn(async move {
                let _place = places.acquire().await.expect("nobody closes it");
                setup.run(&case, level).await
            });
        }
        let mut outcomes = Vec::new();
        while let Some(outcome) = running.join_next().await {
            let outcome = outcome.expect("a case does not panic");
            ended(&outcome);
            outcomes.push(outcome);
        }
        outcomes.sort_by(|one, other| one.case.cmp(&other.case));
        outcomes
    }
}

/// The last lines of an app's journal, without secrets.
fn journal(app: &App) -> Vec<String> {
    let Ok(lines) = app.export_journal(true) else { return Vec::new() };
    let entries = lines.lines().filter_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        let (at, text) = (entry["at"].as_i64()?, entry["text"].as_str()?);
        let status = entry["status"].as_u64().map(|status| format!(" -> {status}"));
        Some(format!("{at} {}{}", text, status.unwrap_or_default()))
    });
    let entries: Vec<String> = entries.collect();
    entries[entries.len().saturating_sub(SLICE)..].to_vec()
}
