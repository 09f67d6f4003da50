//! What is required of a bot, and the cases that show it.
//!
//! The folder of a suite holds `requirements/*.toml`, `scenarios/**/*.json` and `products/*.json`. A
//! case is a scenario; its id is its path without the ending, such as `text/dm`, or the name of the
//! product that makes it and of its values, such as `reconnect/rst+idle+one`.

mod case;
mod census;
mod combine;
mod product;
mod requirement;
mod trace;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mock_dingtalk::VerbError;

pub use self::case::{Case, matches_glob};
pub use self::census::Census;
pub use self::product::{Axis, AxisValue, Combination, Product};
pub use self::requirement::{Level, Requirement};
pub use self::trace::{Trace, Untraced};

/// Requirements and cases.
#[derive(Debug, Clone)]
pub struct Suite {
    requirements: BTreeMap<String, Requirement>,
    cases: Vec<Case>,
}

impl Suite {
    /// Reads the folder of a suite.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, SuiteError> {
        let dir = dir.as_ref();
        let mut cases = case::load(&dir.join("scenarios"))?;
        let products = dir.join("products");
        if products.exists() {
            cases.extend(case::expand(&products)?);
        }
        cases.sort_by(|one, other| one.id().cmp(other.id()));
        if let Some(two) = cases.windows(2).find(|two| two[0].id() == two[1].id()) {
            let (path, id) = (two[1].path().to_owned(), two[1].id().to_owned());
            return Err(SuiteError::SameCase { path, id });
        }
        Ok(Self { requirements: requirement::load(&dir.join("requirements"))?, cases })
    }

    /// What is required, by slug.
    pub fn requirements(&self) -> impl Iterator<Item = (&str, &Requirement)> {
        self.requirements.iter().map(|(slug, requirement)| (slug.as_str(), requirement))
    }

    /// The cases, by id.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }

    /// The strictest level of what a case checks. Of a product's case it is the laxest of its values'
    /// levels: where one of them asks for more than a bot must do, the whole case does.
    pub fn level(&self, case: &Case) -> Level {
        let strictest = |slugs: &Vec<String>| {
            let known = slugs.iter().filter_map(|slug| self.requirements.get(slug));
            known.map(|requirement| requirement.level).min()
        };
        // A case without a requirement is a fault of the suite, which `trace` reports.
        case.bound().iter().filter_map(strictest).max().unwrap_or(Level::Must)
    }

    /// How much it holds.
    pub fn census(&self) -> Census {
        Census::of(self)
    }

    /// Whether each requirement has a case or a reason, and each case a requirement.
    pub fn trace(&self) -> Trace {
        trace::trace(&self.requirements, &self.cases)
    }
}

/// Why a suite cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of requirements makes no sense.
    #[error("{} cannot be understood", path.display())]
    Requirements {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: toml::de::Error,
    },
    /// Two requirements have one slug.
    #[error("the slug `{slug}` in {} is taken", path.display())]
    SameSlug {
        /// The file that has it for the second time.
        path: PathBuf,
        /// The slug.
        slug: String,
    },
    /// Two cases have one id.
    #[error("the id `{id}` in {} is taken", path.display())]
    SameCase {
        /// The file that makes the second one.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// A product makes no sense.
    #[error("{} cannot be understood: {why}", path.display())]
    Product {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A scenario makes no sense.
    #[error("{} cannot be understood", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// Which field is wrong, and what it may be.
        #[source]
        source: VerbError,
    },
}

/// The files of a folder and those below it, by name.
fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>, SuiteError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| SuiteError::Read { path, source }
    };
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(unreadable(&folder))? {
            let path = entry.map_err(unreadable(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|known| known == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn text_of(path: &Path) -> Result<String, SuiteError> {
    std::fs::read_to_string(path)
        .map_err(|source| SuiteError::Read { path: path.to_owned(), source })
}
