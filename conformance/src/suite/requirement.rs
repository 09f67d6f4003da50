//! What is required of a bot.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{SuiteError, files, text_of};

/// How much a requirement binds; the strictest is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// A bot that does otherwise fails.
    Must,
    /// A bot that does otherwise is warned.
    Should,
    /// What DingTalk or users' bots were seen to do; noted only.
    Observed,
}

impl Level {
    /// As it is written in the files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Observed => "OBSERVED",
        }
    }
}

/// One thing that is required.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// How much it binds.
    pub level: Level,
    /// What a bot has to do, in one sentence.
    pub sentence: String,
    /// Where that is written or was seen.
    pub source: String,
    /// The version of the suite that has it first.
    pub since: String,
    /// Why no case checks it, where none does.
    pub untested: Option<String>,
}

/// All files of a folder; each is a table by slug.
pub(super) fn load(dir: &Path) -> Result<BTreeMap<String, Requirement>, SuiteError> {
    let mut all = BTreeMap::new();
    for path in files(dir, "toml")? {
        let read: BTreeMap<String, Requirement> = match toml::from_str(&text_of(&path)?) {
            Ok(read) => read,
            Err(source) => return Err(SuiteError::Requirements { path, source }),
        };
        for (slug, requirement) in read {
            if all.contains_key(&slug) {
                return Err(SuiteError::SameSlug { path, slug });
            }
            all.insert(slug, requirement);
        }
    }
    Ok(all)
}
