//! The check that folder and record agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Entry, Origin, Provenance, ProvenanceError, Violation, content};
use crate::fixtures::{Fixture, FixtureDir};

/// What the check saw and what it found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Fixtures in the folder.
    pub files: usize,
    /// Entries in the record.
    pub entries: usize,
    /// Entries per origin.
    pub origins: BTreeMap<Origin, usize>,
    /// Everything that is wrong, ordered by path.
    pub violations: Vec<Violation>,
}

impl Report {
    /// True if nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Checks that every fixture has exactly one sound entry, every entry a fixture, and that each
/// fixture outside `hostile/` is well formed.
///
/// Fails only if something cannot be read; whatever is merely wrong is in the report.
pub fn check(dir: &FixtureDir) -> Result<Report, ProvenanceError> {
    let provenance = Provenance::load(&dir.provenance_path())?;
    let fixtures = dir.fixtures()?;
    let files: BTreeSet<&str> = fixtures.iter().map(Fixture::path).collect();

    let mut violations = Vec::new();
    let mut origins = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in &provenance.entries {
        *origins.entry(entry.origin.clone()).or_default() += 1;
        let path = || entry.path.clone();
        if !seen.insert(entry.path.as_str()) {
            violations.push(Violation::DuplicateEntry { path: path() });
        } else if !files.contains(entry.path.as_str()) {
            violations.push(Violation::EntryWithoutFile { path: path() });
        }
        check_entry(entry, &mut violations);
    }
    for fixture in &fixtures {
        if !seen.contains(fixture.path()) {
            violations.push(Violation::FileWithoutEntry { path: fixture.path().to_owned() });
        }
        violations.extend(content::check(fixture)?);
    }
    violations.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(Report { files: files.len(), entries: provenance.entries.len(), origins, violations })
}

/// Checks an entry on its own.
fn check_entry(entry: &Entry, violations: &mut Vec<Violation>) {
    let path = || entry.path.clone();
    if let Origin::Unknown(origin) = &entry.origin {
        violations.push(Violation::UnknownOrigin { path: path(), origin: origin.clone() });
    }
    if entry.source.trim().is_empty() {
        violations.push(Violation::EmptySource { path: path() });
    }
    if let Some(status) = entry.status
        && !((100..600).contains(&status) && is_response(&entry.path))
    {
        violations.push(Violation::BadStatus { path: path(), status });
    }
}

/// True for a path whose file is the body of an HTTP response.
fn is_response(path: &str) -> bool {
    let http = path.starts_with("gateway/") || path.starts_with("openapi/");
    http && !path.contains(".request.")
}
