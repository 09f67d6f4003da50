//! `dingtalk-conformance matrix`: bots side by side.

use std::path::PathBuf;

use clap::Args;
use dingtalk_conformance::run::{Matrix as Table, Report};

use super::{Answer, CliError, Status};

#[derive(Debug, Args)]
pub(super) struct Matrix {
    /// Folders that `run --report` wrote; each is named as its folder, or as NAME=DIR says.
    #[arg(required = true, value_name = "DIR")]
    reports: Vec<String>,
    /// The page; the same as JSON is written beside it.
    #[arg(long, value_name = "FILE.html")]
    out: PathBuf,
}

impl Matrix {
    pub(super) fn run(&self) -> Result<Answer, CliError> {
        let json = self.out.with_extension("json");
        if json == self.out {
            return Err(CliError::PageIsJson(self.out.clone()));
        }
        let mut reports = Vec::new();
        for given in &self.reports {
            let (name, path) = match given.split_once('=') {
                Some((name, path)) => (name.to_owned(), PathBuf::from(path)),
                None => (String::new(), PathBuf::from(given)),
            };
            let own = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            let name = if name.is_empty() { own.into_owned() } else { name };
            reports.push((name, Report::load(&path)?));
        }
        let table = Table::new(&reports);
        let mut rows = serde_json::to_string_pretty(&table).expect("rows of words are JSON");
        rows.push('\n');
        for (path, text) in [(self.out.clone(), table.html()), (json, rows)] {
            std::fs::write(&path, text).map_err(|source| CliError::WriteFile { path, source })?;
        }
        let lines = reports
            .iter()
            .map(|(name, report)| format!("{name}: {}: {}\n", report.word(), report.tally()));
        Ok(Answer { status: Status::Clean, text: lines.collect() })
    }
}
