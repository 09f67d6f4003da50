//! The folder of wire shapes that connector, mock and suite share.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod fixture;

pub use fixture::{Fixture, HOSTILE};

/// Name of the file, at the top of the folder, that records where each fixture comes from.
pub const PROVENANCE_FILE: &str = "provenance.toml";

/// Files at the top of the folder that describe the fixtures instead of being one.
const ABOUT: [&str; 2] = ["README.md", PROVENANCE_FILE];

/// Fixture folder at a path that the caller chose; nothing is searched for.
#[derive(Debug, Clone)]
pub struct FixtureDir {
    root: PathBuf,
}

impl FixtureDir {
    /// Opens the folder at `root`, which must exist and be a folder.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, FixturesError> {
        let root = root.into();
        match fs::metadata(&root) {
            Ok(found) if found.is_dir() => Ok(Self { root }),
            Ok(_) => Err(FixturesError::NotAFolder { path: root }),
            Err(source) => Err(FixturesError::Read { path: root, source }),
        }
    }

    /// Path that the folder was opened with.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of the folder's record of provenance, whether or not it exists.
    pub fn provenance_path(&self) -> PathBuf {
        self.root.join(PROVENANCE_FILE)
    }

    /// Lists every fixture, ordered by path.
    ///
    /// Hidden files count, so that a stray one is noticed. Symbolic links are not followed; a link
    /// counts as a fixture.
    pub fn fixtures(&self) -> Result<Vec<Fixture>, FixturesError> {
        let mut paths = BTreeSet::new();
        self.walk("", &mut paths)?;
        for about in ABOUT {
            paths.remove(about);
        }
        Ok(paths.into_iter().map(|path| Fixture::new(&self.root, path)).collect())
    }

    /// Finds one fixture by its name, such as `stream/system_ping`.
    pub fn get(&self, name: &str) -> Result<Fixture, FixturesError> {
        self.fixtures()?.into_iter().find(|fixture| fixture.name() == name).ok_or_else(|| {
            FixturesError::Unknown { name: name.to_owned(), root: self.root.clone() }
        })
    }

    /// Adds the files below `folder` (relative, `/` between parts, empty for the root) to `paths`.
    fn walk(&self, folder: &str, paths: &mut BTreeSet<String>) -> Result<(), FixturesError> {
        let full = self.root.join(folder);
        let read_error = |source| FixturesError::Read { path: full.clone(), source };
        for entry in fs::read_dir(&full).map_err(read_error)? {
            let entry = entry.map_err(read_error)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path =
                if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
            if entry.file_type().map_err(read_error)?.is_dir() {
                self.walk(&path, paths)?;
            } else {
                paths.insert(path);
            }
        }
        Ok(())
    }
}

/// Why the fixture folder, or a file of it, could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FixturesError {
    /// The path leads to a file.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// Path as given.
        path: PathBuf,
    },
    /// The folder or a file of it could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// File or folder in question.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The file holds something else than JSON.
    #[error("{} is not JSON", path.display())]
    NotJson {
        /// File in question.
        path: PathBuf,
        /// Where reading stopped.
        #[source]
        source: serde_json::Error,
    },
    /// No fixture has this name.
    #[error("no fixture is named `{name}` in {}", root.display())]
    Unknown {
        /// Name as asked for.
        name: String,
        /// Folder that was searched.
        root: PathBuf,
    },
}
