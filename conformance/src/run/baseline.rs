//! Failures that are known, with the reason for each.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Outcome;

/// Failures that are known: case id = reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Baseline(BTreeMap<String, String>);

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
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
    #[error("{} is no list of lines such as \"area/case\" = \"reason\"", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: toml::de::Error,
    },
}

impl Baseline {
    /// Reads a file of lines such as `"reconnect/rst" = "issue 13 of the SDK"`.
    pub fn load(path: &Path) -> Result<Self, BaselineError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BaselineError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| BaselineError::Parse { path: path.to_owned(), source })
    }

    /// Marks the failures that it knows, and names its stale entries: cases that were played and
    /// did not fail, and those that `exists` does not know.
    pub fn apply(&self, outcomes: &mut [Outcome], exists: impl Fn(&str) -> bool) -> Vec<String> {
        let mut stale = Vec::new();
        for (case, reason) in &self.0 {
            match outcomes.iter_mut().find(|outcome| outcome.case == *case) {
                Some(outcome) if outcome.verdict.is_failure() => {
                    outcome.baseline = Some(reason.clone());
                }
                Some(outcome) => stale.push(format!(
                    "the baseline expects `{case}` to fail, but its verdict is {}",
                    outcome.verdict.as_str()
                )),
                None if exists(case) => {}
                None => stale.push(format!("the baseline names `{case}`, which is no case")),
            }
        }
        stale
    }
}
