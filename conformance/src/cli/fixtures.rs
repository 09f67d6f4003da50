//! `dingtalk-conformance fixtures`: the folder of wire shapes.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use dingtalk_conformance::fixtures::FixtureDir;
use dingtalk_conformance::provenance::{self, Origin, Provenance, ProvenanceError, Report};
use serde::Serialize;

use super::{Answer, CliError, Status};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List every fixture with its origin and source.
    List(Where),
    /// Check that every fixture has its provenance and is well formed.
    Check(Where),
}

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// Folder that holds provenance.toml.
    #[arg(long, value_name = "DIR", default_value = "fixtures")]
    dir: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(&self) -> Result<Answer, CliError> {
        Ok(match self {
            Self::List(place) => list(place),
            Self::Check(place) => check(place),
        }?)
    }
}

/// One line of `list`, as JSON shows it.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    path: &'a str,
    bytes: usize,
    /// The rest is null for a file without an entry.
    origin: Option<&'a Origin>,
    source: Option<&'a str>,
    status: Option<u16>,
    note: Option<&'a str>,
}

fn list(place: &Where) -> Result<Answer, ProvenanceError> {
    let dir = FixtureDir::open(&place.dir)?;
    let provenance = Provenance::load(&dir.provenance_path())?;
    let fixtures = dir.fixtures()?;
    let mut rows = Vec::with_capacity(fixtures.len());
    for fixture in &fixtures {
        let entry = provenance.entry(fixture.path());
        rows.push(Row {
            name: fixture.name(),
            path: fixture.path(),
            bytes: fixture.message()?.len(),
            origin: entry.map(|entry| &entry.origin),
            source: entry.map(|entry| entry.source.as_str()),
            status: entry.and_then(|entry| entry.status),
            note: entry.and_then(|entry| entry.note.as_deref()),
        });
    }
    let text = if place.json { json(&rows) } else { table(&rows) };
    Ok(Answer { status: Status::Clean, text })
}

fn check(place: &Where) -> Result<Answer, ProvenanceError> {
    let dir = FixtureDir::open(&place.dir)?;
    let report = provenance::check(&dir)?;
    let status = if report.is_clean() { Status::Clean } else { Status::Findings };
    let text = if place.json { json(&report) } else { summary(&report) };
    Ok(Answer { status, text })
}

fn table(rows: &[Row<'_>]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let origin = row.origin.map_or("-", Origin::as_str);
        let source = row.source.unwrap_or("-");
        writeln!(text, "{:width$}  {:>7}  {origin:10}  {source}", row.name, row.bytes)
            .expect("a string takes any text");
    }
    text
}

fn summary(report: &Report) -> String {
    let mut text = String::new();
    for violation in &report.violations {
        writeln!(text, "{violation}").expect("a string takes any text");
    }
    let origins: Vec<_> =
        report.origins.iter().map(|(origin, count)| format!("{count} {origin}")).collect();
    writeln!(
        text,
        "{} files, {} entries ({}), {} wrong",
        report.files,
        report.entries,
        origins.join(", "),
        report.violations.len()
    )
    .expect("a string takes any text");
    text
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("names and numbers are always JSON");
    text.push('\n');
    text
}
