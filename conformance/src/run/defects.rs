//! Defects that are known of a bot, and the cases that show them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{BaselineError, Outcome, Verdict};
use crate::suite::matches_glob;

/// One defect: what new entries of a baseline say of the cases that show it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defect {
    /// What the bot does, and where that is written.
    pub reason: String,
    /// Cases that show it; * stands for anything.
    pub cases: Vec<String>,
    /// Whether they show it at times only.
    #[serde(default)]
    pub flaky: bool,
}

/// Defects by name. Of several that fit a case, the first by name counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Defects(BTreeMap<String, Defect>);

impl Defects {
    /// Reads a file with a table for each defect.
    pub fn load(path: &Path) -> Result<Self, BaselineError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BaselineError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| BaselineError::Defects { path: path.to_owned(), source })
    }

    /// The defect that a case shows.
    pub fn of(&self, case: &str) -> Option<&Defect> {
        self.0.values().find(|defect| defect.cases.iter().any(|glob| matches_glob(glob, case)))
    }

    /// Defects that no failing case shows, and should.
    pub fn unseen(&self, cases: &[Outcome]) -> Vec<&str> {
        let shown = |defect: &Defect| {
            cases
                .iter()
                .filter(|outcome| outcome.verdict == Verdict::Fail)
                .any(|outcome| defect.cases.iter().any(|glob| matches_glob(glob, &outcome.case)))
        };
        let unseen = self.0.iter().filter(|(_, defect)| !defect.flaky && !shown(defect));
        unseen.map(|(name, _)| name.as_str()).collect()
    }
}
