//! `dingtalk-conformance list`: the cases of a suite.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use dingtalk_conformance::suite::{Case, Suite, matches_glob};
use serde_json::json;

use super::{Answer, CliError, Status};

/// Which cases.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Folder that holds requirements/ and scenarios/.
    #[arg(long, value_name = "DIR", default_value = "conformance")]
    dir: PathBuf,
    /// Only cases whose id fits; * stands for anything. May be given several times.
    #[arg(long = "case", value_name = "GLOB")]
    globs: Vec<String>,
}

impl Selection {
    /// The suite, and the cases that fit.
    pub(super) fn read(&self) -> Result<(Suite, Vec<Case>), CliError> {
        let suite = Suite::open(&self.dir)?;
        for glob in &self.globs {
            if !suite.cases().any(|case| matches_glob(glob, case.id())) {
                return Err(CliError::NoCase(glob.clone()));
            }
        }
        let fits = |case: &&Case| {
            self.globs.is_empty() || self.globs.iter().any(|glob| matches_glob(glob, case.id()))
        };
        let cases = suite.cases().filter(fits).cloned().collect();
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
    writeln!(text, "{trace}").expect("a string takes any text");
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
