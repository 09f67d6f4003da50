//! Pages for browsers: one file each, without anything from elsewhere.

mod matrix;
mod report;

use std::collections::BTreeMap;

pub(super) use self::{matrix::matrix, report::report};
use super::Verdict;
use super::escape::escaped;

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/filter.js");

/// Verdicts in the order in which a reader wants them.
const VERDICTS: [Verdict; 6] = [
    Verdict::Fail,
    Verdict::Untestable,
    Verdict::Warn,
    Verdict::Info,
    Verdict::Pass,
    Verdict::NotApplicable,
];

/// A whole page. `body` is HTML already.
fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}<script>\n{SCRIPT}</script>\n</body>\n\
         </html>\n"
    )
}

/// A verdict as a word in its colour.
fn badge(verdict: Verdict) -> String {
    let name = verdict.as_str();
    format!("<b class=\"badge {name}\">{name}</b>")
}

/// Whether all is well.
fn seal(passed: bool, counts: &BTreeMap<Verdict, usize>) -> String {
    let word = super::report::word(passed, counts);
    let class = match word {
        "passed" => "pass",
        "failed" => "fail",
        _ => "not-applicable",
    };
    format!("<b class=\"badge {class}\">{word}</b>")
}

/// How many cases have each verdict; each one shows or hides those cases.
fn tiles(counts: &BTreeMap<Verdict, usize>) -> String {
    let tile = |verdict: &Verdict| {
        let (name, count) = (verdict.as_str(), counts.get(verdict)?);
        Some(format!(
            "<label class=\"tile {name}\"><input type=\"checkbox\" checked \
             data-show=\"{name}\"><b>{count}</b> {name}</label>\n"
        ))
    };
    let tiles: String = VERDICTS.iter().filter_map(tile).collect();
    format!("<div class=\"tiles\">\n{tiles}</div>\n")
}
