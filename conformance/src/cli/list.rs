//! `dingtalk-conformance list`: the cases of a suite.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use dingtalk_conformance::suite::{Case, Level, Suite, matches_glob};
use serde_json::json;

use super::{Answer, CliError, Status};

/// The suite, seen from the root of the workspace.
const DIR: &str = "conformance";

/// Which cases.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Folder that holds requirements/ and scenarios/.
    #[arg(long, value_name = "DIR", default_value = DIR)]
    dir: PathBuf,
    /// Only cases whose id fits; * stands for anything. May be given several times.
    #[arg(long = "case", value_name = "GLOB")]
    globs: Vec<String>,
    /// Only cases of this level: MUST, SHOULD or OBSERVED. May be given several times.
    #[arg(long = "level", value_name = "LEVEL", value_delimiter = ',', value_parser = level)]
    levels: Vec<Level>,
    /// Only cases of this area, the first part of their ids. May be given several times.
    #[arg(long = "area", value_name = "NAME", value_delimiter = ',')]
    areas: Vec<String>,
}

fn level(text: &str) -> Result<Level, String> {
    let known = [Level::Must, Level::Should, Level::Observed];
    let found = known.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "give MUST, SHOULD or OBSERVED".to_owned())
}

impl Selection {
    /// The folder of the suite, if it is not the usual one.
    pub(super) fn other_dir(&self) -> Option<PathBuf> {
        (self.dir != Path::new(DIR)).then(|| self.dir.clone())
    }

    /// The suite, and the cases that fit all that is asked for.
    pub(super) fn read(&self) -> Result<(Suite, Vec<Case>), CliError> {
        let suite = Suite::open(&self.dir)?;
        for glob in &self.globs {
            if !suite.cases().any(|case| matches_glob(glob, case.id())) {
                return Err(CliError::NoCase(format!("--case {glob}")));
            }
        }
        for area in &self.areas {
            if !suite.cases().any(|case| case.area() == area) {
                return Err(CliError::NoCase(format!("--area {area}")));
            }
        }
        let fits = |case: &&Case| {
            let glob = |glob: &String| matches_glob(glob, case.id());
            (self.globs.is_empty() || self.globs.iter().any(glob))
                && (self.levels.is_empty() || self.levels.contains(&suite.level(case)))
                && (self.areas.is_empty() || self.areas.iter().any(|area| area == case.area()))
        };
        let cases: Vec<Case> = suite.cases().filter(fits).cloned().collect();
        if cases.is_empty() {
            return Err(CliError::NoCase("all of what is asked for".to_owned()));
        }
        Ok((suite, cases))
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    selection: Selection,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self) -> Result<Answer, CliError> {
        let (suite, cases) = self.selection.read()?;
        let trace = suite.trace();
        let status = if trace.untraced.is_empty() { Status::Clean } else { Status::Findings };
        let text = if self.json { in_json(&suite, &cases) } else { table(&suite, &cases) };
        if self.json {
            for untraced in &trace.untraced {
                // Whoever closed it does not want to know.
                let _ = writeln!(std::io::stderr(), "{untraced}");
            }
        }
        Ok(Answer { status, text })
    }
}

fn table(suite: &Suite, cases: &[Case]) -> String {
    let width = cases.iter().map(|case| case.id().len()).max().unwrap_or_default();
    let mut text = String::new();
    for case in cases {
        let (level, title) = (suite.level(case).as_str(), &case.scenario().title);
        writeln!(text, "{:width$}  {level:8}  {title}", case.id())
            .expect("a string takes any text");
    }
    let trace = suite.trace();
    for untraced in &trace.untraced {
        writeln!(text, "{untraced}").expect("a string takes any text");
    }
    writeln!(text, "{}\n{trace}", suite.census()).expect("a string takes any text");
    text
}

fn in_json(suite: &Suite, cases: &[Case]) -> String {
    let rows: Vec<_> = cases
        .iter()
        .map(|case| {
            json!({
                "case": case.id(),
                "level": suite.level(case),
                "title": case.scenario().title,
                "checks": case.scenario().checks,
                "needs": case.scenario().needs,
            })
        })
        .collect();
    let mut text = json!(rows).to_string();
    text.push('\n');
    text
}
