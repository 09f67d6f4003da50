//! `dingtalk-conformance baseline`: what fails is written down, with a reason.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use dingtalk_conformance::run::{Baseline as Known, Defects, Report};
use dingtalk_conformance::suite::Suite;

use super::{Answer, CliError, Status};

#[derive(Debug, Args)]
pub(super) struct Baseline {
    /// A folder that `run --report` wrote, or its results.json.
    #[arg(long, value_name = "DIR")]
    report: PathBuf,
    /// The baseline. One that is there keeps its reasons and its first comment.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Defects that are known, and the cases that show them: tables with `reason` and `cases`.
    #[arg(long, value_name = "FILE")]
    defects: Option<PathBuf>,
    /// What new entries say where no defect is known.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Folder that holds requirements/ and scenarios/.
    #[arg(long, value_name = "DIR", default_value = "conformance")]
    dir: PathBuf,
}

impl Baseline {
    pub(super) fn run(&self) -> Result<Answer, CliError> {
        let report = Report::load(&self.report)?;
        let suite = Suite::open(&self.dir)?;
        let defects = self.defects.as_deref().map(Defects::load).transpose()?.unwrap_or_default();
        let (mut baseline, head) = if self.out.exists() {
            (Known::load(&self.out)?, self.head()?)
        } else {
            (Known::default(), String::new())
        };
        let exists = |id: &str| suite.cases().any(|case| case.id() == id);
        let update = baseline.update(&report.cases, &defects, self.reason.as_deref(), exists);
        let mut text = String::new();
        let mut tell = |what: &str, names: &[String]| {
            for name in names {
                writeln!(text, "{what}: {name}").expect("a string takes any text");
            }
        };
        tell("added", &update.added);
        tell("dropped", &update.dropped);
        tell("fails, and nothing says why (--reason or --defects)", &update.without_reason);
        tell("could not be played, which no baseline takes", &update.untestable);
        let unseen: Vec<String> =
            defects.unseen(&report.cases).into_iter().map(str::to_owned).collect();
        tell("no failing case shows the defect", &unseen);
        if !update.without_reason.is_empty() {
            // Half a baseline would look like a whole one.
            text += "nothing is written\n";
            return Ok(Answer { status: Status::Findings, text });
        }
        std::fs::write(&self.out, baseline.write(&head))
            .map_err(|source| CliError::WriteFile { path: self.out.clone(), source })?;
        writeln!(text, "{} entries in {}", baseline.len(), self.out.display())
            .expect("a string takes any text");
        let well = unseen.is_empty() && update.untestable.is_empty();
        let status = if well { Status::Clean } else { Status::Findings };
        Ok(Answer { status, text })
    }

    /// The comment that the file begins with.
    fn head(&self) -> Result<String, CliError> {
        let text = std::fs::read_to_string(&self.out)
            .map_err(|source| CliError::ReadFile { path: self.out.clone(), source })?;
        let lines = text.split_inclusive('\n');
        Ok(lines.take_while(|line| line.starts_with('#') || line.trim().is_empty()).collect())
    }
}
