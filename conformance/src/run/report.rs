//! The result of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::{Outcome, junit};

/// The result of a run, as `results.json` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// Version of the suite.
    pub version: &'static str,
    /// The command line of the bot.
    pub subject: String,
    /// Seed of the mock.
    pub seed: u64,
    /// Whether nothing failed beyond the baseline.
    pub passed: bool,
    /// How many cases have each verdict.
    pub counts: BTreeMap<&'static str, usize>,
    /// Entries of the baseline that have to go.
    pub stale: Vec<String>,
    /// Each case.
    pub cases: Vec<Outcome>,
}

impl Report {
    /// Sums up.
    pub fn new(subject: String, seed: u64, cases: Vec<Outcome>, stale: Vec<String>) -> Self {
        let mut counts = BTreeMap::new();
        for outcome in &cases {
            *counts.entry(outcome.verdict.as_str()).or_default() += 1;
        }
        let passed = stale.is_empty() && !cases.iter().any(Outcome::is_failure);
        Self { version: env!("CARGO_PKG_VERSION"), subject, seed, passed, counts, stale, cases }
    }

    /// Writes `results.json` and `junit.xml` into a folder, which is made if need be.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        std::fs::write(dir.join("results.json"), text)?;
        std::fs::write(dir.join("junit.xml"), junit::write(self))
    }

    /// For people: what went wrong, and the counts.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let notable = |outcome: &&Outcome| outcome.is_failure() || !outcome.journal.is_empty();
        for outcome in self.cases.iter().filter(notable) {
            text += &outcome.explain();
            if let Some(reason) = &outcome.baseline {
                writeln!(text, "  baseline: {reason}").expect("a string takes any text");
            }
        }
        for stale in &self.stale {
            writeln!(text, "stale: {stale}").expect("a string takes any text");
        }
        let counts: Vec<_> = self.counts.iter().map(|(name, n)| format!("{n} {name}")).collect();
        let verdict = if self.passed { "passed" } else { "failed" };
        writeln!(text, "{verdict}: {} cases: {}", self.cases.len(), counts.join(", "))
            .expect("a string takes any text");
        text
    }
}
