//! The result of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Applied, Outcome, Setup, Verdict, html, junit};
use crate::suite::{Census, Requirement, Suite};

/// The file of a report that the others are made of.
const RESULTS: &str = "results.json";

/// The result of a run, as `results.json` holds it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Report {
    /// Version of the suite.
    pub version: String,
    /// The command line of the bot.
    pub subject: String,
    /// What the bot declares.
    pub capabilities: Vec<String>,
    /// Seed of the mock, of the first round.
    pub seed: u64,
    /// Whether nothing failed beyond the baseline.
    pub passed: bool,
    /// How many cases have each verdict.
    pub counts: BTreeMap<Verdict, usize>,
    /// What the whole suite holds.
    pub suite: Census,
    /// Entries of the baseline that have to go.
    pub stale: Vec<String>,
    /// Entries of the baseline whose case was not played.
    #[serde(default)]
    pub not_tried: usize,
    /// What the cases check.
    pub requirements: BTreeMap<String, Requirement>,
    /// Each case.
    pub cases: Vec<Outcome>,
}

/// Why there is no report to read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file makes no sense.
    #[error("{} is no results.json of this version", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
}

impl Report {
    /// Sums up. `stale` names entries of the baseline that have to go.
    pub fn new(suite: &Suite, setup: &Setup, cases: Vec<Outcome>, stale: Vec<String>) -> Self {
        Self::of(suite, setup, cases, Applied { stale, not_tried: 0 })
    }

    /// Sums up, with what the baseline says.
    pub fn of(suite: &Suite, setup: &Setup, cases: Vec<Outcome>, baseline: Applied) -> Self {
        let Applied { stale, not_tried } = baseline;
        let mut counts = BTreeMap::new();
        for outcome in &cases {
            *counts.entry(outcome.verdict).or_default() += 1;
        }
        let checked = |slug: &str| {
            cases.iter().any(|outcome| outcome.checks.iter().any(|known| known == slug))
        };
        let requirements = suite.requirements().filter(|(slug, _)| checked(slug));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            subject: setup.subject.clone(),
            capabilities: setup.capabilities.iter().cloned().collect(),
            seed: setup.seed,
            passed: stale.is_empty() && !cases.iter().any(Outcome::is_failure),
            counts,
            suite: suite.census(),
            stale,
            not_tried,
            requirements: requirements
                .map(|(slug, requirement)| (slug.to_owned(), requirement.clone()))
                .collect(),
            cases,
        }
    }

    /// Reads `results.json`, or that of a folder.
    pub fn load(path: &Path) -> Result<Self, ReportError> {
        let path = if path.is_dir() { path.join(RESULTS) } else { path.to_owned() };
        let text = std::fs::read(&path)
            .map_err(|source| ReportError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|source| ReportError::Parse { path, source })
    }

    /// Writes `results.json`, `junit.xml` and `report.html` into a folder, which is made if need
    /// be.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        std::fs::write(dir.join(RESULTS), text)?;
        self.render(dir)
    }

    /// Writes `junit.xml` and `report.html` only.
    pub fn render(&self, dir: &Path) -> io::Result<()> {
        std::fs::write(dir.join("junit.xml"), junit::write(self))?;
        std::fs::write(dir.join("report.html"), html::report(self))
    }

    /// The word for all of it.
    pub fn word(&self) -> &'static str {
        word(self.passed, &self.counts)
    }

    /// How many cases have each verdict, in words.
    pub fn tally(&self) -> String {
        let counts = self.counts.iter().map(|(verdict, n)| format!("{n} {}", verdict.as_str()));
        format!("{} cases: {}", self.cases.len(), counts.collect::<Vec<_>>().join(", "))
    }

    /// For people: what went wrong, and the counts.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            writeln!(text, "{line}").expect("a string takes any text");
        };
        let notable = |outcome: &&Outcome| outcome.is_failure() || !outcome.journal.is_empty();
        for outcome in self.cases.iter().filter(notable) {
            line(outcome.explain().trim_end());
            if let Some(reason) = &outcome.baseline {
                line(&format!("  baseline: {reason}"));
            }
        }
        for stale in &self.stale {
            line(&format!("stale: {stale}"));
        }
        line(&self.suite.to_string());
        line(&format!("seed: {}", self.seed));
        let known = self.cases.iter().filter(|outcome| outcome.baseline.is_some()).count();
        let known = if known == 0 { String::new() } else { format!(", {known} by the baseline") };
        let not_tried = match self.not_tried {
            0 => String::new(),
            count => format!(", {count} of the baseline not tried"),
        };
        line(&format!("{}: {}{known}{not_tried}", self.word(), self.tally()));
        text
    }
}

/// The word for a run. One that played nothing has shown nothing.
pub(super) fn word(passed: bool, counts: &BTreeMap<Verdict, usize>) -> &'static str {
    let played =
        counts.iter().any(|(verdict, count)| *count > 0 && *verdict != Verdict::NotApplicable);
    match (passed, played) {
        (false, _) => "failed",
        (true, true) => "passed",
        (true, false) => "nothing was played",
    }
}
