//! Several bots side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Outcome, Report, Verdict, html};
use crate::suite::Level;

/// Reports of several bots, by case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Matrix {
    /// Version of the suite that the first of them was judged by.
    pub version: String,
    /// The bots, in the order that they were given in.
    pub subjects: Vec<Judged>,
    /// Each case that one of them was judged by.
    pub cases: Vec<Row>,
}

/// One bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Judged {
    /// What it is called here.
    pub name: String,
    /// Its command line.
    pub subject: String,
    /// Whether nothing failed beyond its baseline.
    pub passed: bool,
    /// How many cases have each verdict.
    pub counts: BTreeMap<Verdict, usize>,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Row {
    /// Its id.
    pub case: String,
    /// What it shows.
    pub title: String,
    /// The strictest level of what it checks.
    pub level: Level,
    /// What it says of each bot; nothing of those that it was not played against.
    pub verdicts: Vec<Option<Cell>>,
}

/// What a case says of a bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cell {
    /// The verdict.
    pub verdict: Verdict,
    /// What is wrong, or why it was not played.
    pub why: Option<String>,
    /// Why the failure is known.
    pub baseline: Option<String>,
}

impl From<&Outcome> for Cell {
    fn from(outcome: &Outcome) -> Self {
        let (why, baseline) = (outcome.why.clone(), outcome.baseline.clone());
        Self { verdict: outcome.verdict, why, baseline }
    }
}

impl Matrix {
    /// Puts reports side by side, each with the name of its bot.
    pub fn new(reports: &[(String, Report)]) -> Self {
        let all = || reports.iter().flat_map(|(_, report)| &report.cases);
        let ids: BTreeSet<&str> = all().map(|outcome| outcome.case.as_str()).collect();
        let rows = ids.into_iter().filter_map(|id| {
            let of = |report: &Report| {
                report.cases.iter().find(|outcome| outcome.case == id).map(Cell::from)
            };
            let first = all().find(|outcome| outcome.case == id)?;
            Some(Row {
                case: id.to_owned(),
                title: first.title.clone(),
                level: first.level,
                verdicts: reports.iter().map(|(_, report)| of(report)).collect(),
            })
        });
        let subjects = reports.iter().map(|(name, report)| Judged {
            name: name.clone(),
            subject: report.subject.clone(),
            passed: report.passed,
            counts: report.counts.clone(),
        });
        let version = reports.first().map(|(_, report)| report.version.clone());
        Self {
            version: version.unwrap_or_default(),
            cases: rows.collect(),
            subjects: subjects.collect(),
        }
    }

    /// As a page of its own.
    pub fn html(&self) -> String {
        html::matrix(self)
    }
}
