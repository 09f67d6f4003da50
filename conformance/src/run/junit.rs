//! `junit.xml`, as CI systems read it.

use std::fmt::Write as _;

use super::escape::escaped;
use super::{Outcome, Report, Verdict};

pub(super) fn write(report: &Report) -> String {
    let failures = report.cases.iter().filter(|outcome| outcome.is_failure()).count();
    let skipped = report.cases.iter().filter(|outcome| is_skipped(outcome)).count();
    let millis: u64 = report.cases.iter().map(|outcome| outcome.millis).sum();
    let failures = failures + report.stale.len();
    let tests = report.cases.len() + report.stale.len();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut line = |text: String| writeln!(xml, "{text}").expect("a string takes any text");
    line(format!(
        "<testsuite name=\"dingtalk-conformance\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"0\" skipped=\"{skipped}\" time=\"{}\">",
        seconds(millis)
    ));
    for outcome in &report.cases {
        let (area, name) = outcome.case.split_once('/').unwrap_or(("", &outcome.case));
        let head = format!(
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
            escaped(area),
            escaped(name),
            seconds(outcome.millis)
        );
        let why = escaped(outcome.why.as_deref().unwrap_or_default());
        if outcome.is_failure() {
            let text = escaped(&outcome.explain());
            line(format!(
                "{head}>\n    <failure message=\"{why}\">{text}</failure>\n  </testcase>"
            ));
        } else if is_skipped(outcome) {
            let why = outcome.baseline.as_deref().map_or(why, escaped);
            line(format!("{head}>\n    <skipped message=\"{why}\"/>\n  </testcase>"));
        } else {
            line(format!("{head}/>"));
        }
    }
    for stale in &report.stale {
        let why = escaped(stale);
        line(format!(
            "  <testcase classname=\"baseline\" name=\"{why}\" time=\"0.000\">\n    \
             <failure message=\"{why}\"/>\n  </testcase>"
        ));
    }
    line("</testsuite>".to_owned());
    xml
}

/// What was not played, and what is known to fail.
fn is_skipped(outcome: &Outcome) -> bool {
    let known = outcome.baseline.is_some() && !outcome.is_failure();
    known || outcome.verdict == Verdict::NotApplicable
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
