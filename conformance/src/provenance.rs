//! Where each fixture comes from: the typed form of `provenance.toml`, and its check.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fixtures::FixturesError;

mod check;
mod content;
mod violation;

pub use check::{Report, check};
pub use violation::Violation;

/// Record of provenance: one entry per fixture, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Entries as written; [`check`] finds duplicates and gaps.
    #[serde(default, rename = "file")]
    pub entries: Vec<Entry>,
}

/// Where one fixture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Path within the fixture folder, with `/` between its parts.
    pub path: String,
    /// Kind of evidence behind the shape.
    pub origin: Origin,
    /// Page, package and version, or issue: enough for a reader to find it.
    pub source: String,
    /// HTTP status that a response body comes with; absent for anything else, or if unknown.
    pub status: Option<u16>,
    /// What is uncertain about the shape, or what it is for.
    pub note: Option<String>,
}

/// Kind of evidence behind a fixture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Origin {
    /// Field list or example of a `DingTalk` page.
    Documented,
    /// What a published SDK sends or expects.
    Sdk,
    /// Reported from production, or recorded there.
    Observed,
    /// Made from another fixture, or from nothing, to test a reader.
    Derived,
    /// Any other word. Kept, so that the check can name it.
    Unknown(String),
}

impl Origin {
    /// Origins that an entry may have.
    pub const KNOWN: [Self; 4] = [Self::Documented, Self::Sdk, Self::Observed, Self::Derived];

    /// Word that stands in the file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Documented => "documented",
            Self::Sdk => "sdk",
            Self::Observed => "observed",
            Self::Derived => "derived",
            Self::Unknown(word) => word,
        }
    }
}

impl From<String> for Origin {
    fn from(word: String) -> Self {
        Self::KNOWN.into_iter().find(|known| known.as_str() == word).unwrap_or(Self::Unknown(word))
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.as_str().to_owned()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Provenance {
    /// Reads the record at `path`.
    pub fn load(path: &Path) -> Result<Self, ProvenanceError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ProvenanceError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ProvenanceError::Parse {
            path: path.to_owned(),
            source: source.into(),
        })
    }

    /// Entry of the fixture at `path`, the first one if there are several.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }
}

/// Why provenance could not be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvenanceError {
    /// The record could not be read.
    #[error("cannot read the record of provenance {}", path.display())]
    Read {
        /// File in question.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The record is not TOML, or has a key that means nothing.
    #[error("{} is no record of provenance", path.display())]
    Parse {
        /// File in question.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The fixtures could not be read.
    #[error(transparent)]
    Fixtures(#[from] FixturesError),
}
