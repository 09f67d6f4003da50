//! `dingtalk-conformance report`: a report that is there is shown and written again.

use std::path::{Path, PathBuf};

use clap::Args;
use dingtalk_conformance::run::Report as Results;

use super::{Answer, CliError, Status};

#[derive(Debug, Args)]
pub(super) struct Report {
    /// A folder that `run --report` wrote, or its results.json.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// Write junit.xml and report.html into this folder; beside results.json if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print results.json instead of words.
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(super) fn run(&self) -> Result<Answer, CliError> {
        let report = Results::load(&self.path)?;
        let beside =
            if self.path.is_dir() { Some(self.path.as_path()) } else { self.path.parent() };
        let dir = self.out.as_deref().or(beside).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)
            .and_then(|()| report.render(dir))
            .map_err(|source| CliError::WriteFile { path: dir.to_owned(), source })?;
        let status = if report.passed { Status::Clean } else { Status::Findings };
        let text = if self.json {
            let text = serde_json::to_string_pretty(&report);
            text.expect("what was read as JSON can be written as JSON") + "\n"
        } else {
            report.summary()
        };
        Ok(Answer { status, text })
    }
}
