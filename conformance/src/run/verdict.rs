//! What a case says about a bot.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Happening;
use crate::suite::{Case, Level};

/// What a case says about a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does what is required.
    Pass,
    /// It does not do what it must.
    Fail,
    /// It does not do what it should.
    Warn,
    /// It does not do what others were seen to do.
    Info,
    /// It does not declare what the case needs.
    NotApplicable,
    /// The case could not be played. Counts as a failure.
    Untestable,
}

impl Verdict {
    /// Of an expectation that was not met.
    pub(super) fn of_unmet(level: Level) -> Self {
        match level {
            Level::Must => Self::Fail,
            Level::Should => Self::Warn,
            Level::Observed => Self::Info,
        }
    }

    /// As it is written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::NotApplicable => "not-applicable",
            Self::Untestable => "untestable",
        }
    }

    /// Whether it says something about the bot.
    pub fn is_played(self) -> bool {
        !matches!(self, Self::NotApplicable | Self::Untestable)
    }

    /// Whether the run fails by it.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::Untestable)
    }
}

/// How many lines of the journal a failing case prints.
const SLICE: usize = 40;

/// How one case ended.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Outcome {
    /// Its id.
    pub case: String,
    /// What it shows.
    pub title: String,
    /// The strictest level of what it checks.
    pub level: Level,
    /// The requirements that it checks.
    pub checks: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What is wrong, or why it was not played.
    pub why: Option<String>,
    /// What the expectation that was not met says.
    pub expected: Option<Value>,
    /// What was seen instead, in the same words.
    pub seen: Option<Value>,
    /// Why the baseline expects the failure.
    pub baseline: Option<String>,
    /// The seed that it was played with; of several rounds, that of the one that is shown.
    pub seed: u64,
    /// How often it was played.
    pub runs: u32,
    /// Whether it passed and did not pass.
    pub flaky: bool,
    /// How long it took, in milliseconds of real time; of several rounds, all together.
    pub millis: u64,
    /// The command that plays it alone again.
    pub repro: String,
    /// Of a case that is not passed: the end of the journal, without secrets.
    pub journal: Vec<Happening>,
    /// Of a case that is not passed: the end of what the bot wrote.
    pub output: String,
    /// The status of a shell that could not run the bot's command.
    #[serde(skip)]
    pub(super) not_run: Option<i32>,
}

impl Outcome {
    pub(super) fn new(case: &Case, level: Level, seed: u64, repro: String) -> Self {
        Self {
            case: case.id().to_owned(),
            title: case.scenario().title.clone(),
            level,
            checks: case.scenario().checks.clone(),
            verdict: Verdict::Pass,
            why: None,
            expected: None,
            seen: None,
            baseline: None,
            seed,
            runs: 1,
            flaky: false,
            millis: 0,
            repro,
            journal: Vec::new(),
            output: String::new(),
            not_run: None,
        }
    }

    pub(super) fn untestable(&mut self, why: String) {
        self.verdict = Verdict::Untestable;
        self.why = Some(why);
    }

    /// Whether the run fails by it. What could not be played is not known to fail: no baseline
    /// takes it.
    pub fn is_failure(&self) -> bool {
        match self.verdict {
            Verdict::Untestable => true,
            verdict => verdict.is_failure() && self.baseline.is_none(),
        }
    }

    /// The status of a shell that could not run the bot's command: 126 or 127.
    pub fn not_run(&self) -> Option<i32> {
        self.not_run
    }

    /// For people: what is wrong, how to see it again, and what happened last.
    pub fn explain(&self) -> String {
        let mut text = format!("{} {}: {}\n", self.verdict.as_str(), self.case, self.title);
        let mut line = |name: &str, value: &str| {
            writeln!(text, "  {name}: {value}").expect("a string takes any text");
        };
        line("checks", &self.checks.join(", "));
        if let Some(why) = &self.why {
            line("why", why);
        }
        for (name, value) in [("expected", &self.expected), ("seen", &self.seen)] {
            if let Some(value) = value {
                line(name, &value.to_string());
            }
        }
        line("again", &self.repro);
        for entry in &self.journal[self.journal.len().saturating_sub(SLICE)..] {
            line("journal", &entry.to_string());
        }
        for written in self.output.lines() {
            line("bot", written);
        }
        text
    }
}

/// An outcome for tests.
#[cfg(test)]
pub(super) fn sample(case: &str) -> Outcome {
    Outcome {
        case: case.to_owned(),
        title: "it answers".to_owned(),
        level: Level::Must,
        checks: vec!["text-answered".to_owned()],
        verdict: Verdict::Pass,
        why: None,
        expected: None,
        seen: None,
        baseline: None,
        seed: 1,
        runs: 1,
        flaky: false,
        millis: 12,
        repro: "dingtalk-conformance run".to_owned(),
        journal: Vec::new(),
        output: String::new(),
        not_run: None,
    }
}
