//! `report.html`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{badge, page, seal, tiles};
use crate::run::diff::{Line, lines};
use crate::run::escape::escaped;
use crate::run::{Happening, Outcome, Report};
use crate::suite::Requirement;

/// The report of one bot.
pub(in crate::run) fn report(report: &Report) -> String {
    let declared = match report.capabilities.as_slice() {
        [] => "nothing beside echoing".to_owned(),
        names => names.join(", "),
    };
    let mut body = format!(
        "<header>\n<h1>DingTalk conformance {}</h1>\n<p><code class=\"subject\">{}</code></p>\n\
         <p class=\"quiet\">declares {} · seed {} · version {}<br>{}</p>\n</header>\n{}",
        seal(report.passed, &report.counts),
        escaped(&report.subject),
        escaped(&declared),
        report.seed,
        escaped(&report.version),
        escaped(&report.suite.to_string()),
        tiles(&report.counts),
    );
    for stale in &report.stale {
        put(&mut body, &format!("<p class=\"stale\">{}</p>", escaped(stale)));
    }
    let mut areas: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in &report.cases {
        let area = outcome.case.split_once('/').map_or("", |(area, _)| area);
        areas.entry(area).or_default().push(outcome);
    }
    for (area, outcomes) in areas {
        put(&mut body, &format!("<section>\n<h2>{}</h2>", escaped(area)));
        for outcome in outcomes {
            case(&mut body, outcome, &report.requirements);
        }
        put(&mut body, "</section>");
    }
    let title = format!("{} · DingTalk conformance", report.subject);
    page(&title, &body)
}

fn put(body: &mut String, line: &str) {
    writeln!(body, "{line}").expect("a string takes any text");
}

fn case(body: &mut String, outcome: &Outcome, known: &BTreeMap<String, Requirement>) {
    let verdict = outcome.verdict.as_str();
    let open = if outcome.is_failure() { " open" } else { "" };
    let mark = if outcome.flaky { " <b class=\"badge warn\">flaky</b>" } else { "" };
    let expected = if outcome.baseline.is_some() {
        " <b class=\"badge not-applicable\">known</b>"
    } else {
        ""
    };
    put(
        body,
        &format!(
            "<details class=\"case\" data-verdict=\"{verdict}\"{open}>\n<summary>{}{mark}{expected} \
             <code>{}</code> <span>{}</span> <span class=\"quiet\">{} ms</span></summary>",
            badge(outcome.verdict),
            escaped(&outcome.case),
            escaped(&outcome.title),
            outcome.millis,
        ),
    );
    if let Some(why) = &outcome.why {
        put(body, &format!("<p class=\"why\">{}</p>", escaped(why)));
    }
    if let Some(reason) = &outcome.baseline {
        put(body, &format!("<p>Known: {}</p>", escaped(reason)));
    }
    put(body, "<h3>Requirements</h3>\n<ul>");
    for slug in &outcome.checks {
        put(body, &requirement(slug, known.get(slug)));
    }
    put(body, "</ul>");
    if outcome.expected.is_some() || outcome.seen.is_some() {
        put(body, &comparison(outcome));
    }
    put(body, &format!("<h3>Again</h3>\n<pre>{}</pre>", escaped(&outcome.repro)));
    if !outcome.journal.is_empty() {
        put(body, "<h3>What happened</h3>\n<div class=\"scroll\"><table class=\"frames\">");
        for happening in &outcome.journal {
            put(body, &row(happening));
        }
        put(body, "</table></div>");
    }
    if !outcome.output.is_empty() {
        put(body, &format!("<h3>What the bot wrote</h3>\n<pre>{}</pre>", escaped(&outcome.output)));
    }
    put(body, "</details>");
}

fn requirement(slug: &str, known: Option<&Requirement>) -> String {
    let slug = escaped(slug);
    let Some(known) = known else { return format!("<li><code>{slug}</code></li>") };
    format!(
        "<li><b>{}</b> <code>{slug}</code> {}<br><span class=\"quiet\">{}</span></li>",
        known.level.as_str(),
        escaped(&known.sentence),
        escaped(&known.source)
    )
}

/// What was expected and what was seen, line by line.
fn comparison(outcome: &Outcome) -> String {
    let text = |value: &Option<serde_json::Value>| {
        value.as_ref().map(|value| format!("{value:#}")).unwrap_or_default()
    };
    let (expected, seen) = (text(&outcome.expected), text(&outcome.seen));
    let lines = lines(&expected, &seen).into_iter().map(|line| match line {
        Line::Both(text) => format!("<span>  {}</span>", escaped(text)),
        Line::Expected(text) => format!("<del>- {}</del>", escaped(text)),
        Line::Seen(text) => format!("<ins>+ {}</ins>", escaped(text)),
    });
    format!(
        "<h3><del>- expected</del> <ins>+ seen</ins></h3>\n<pre class=\"diff\">{}</pre>",
        lines.collect::<String>()
    )
}

fn row(happening: &Happening) -> String {
    let way = match happening.kind.as_str() {
        "frame-out" => "→ bot",
        "frame-in" | "http" => "← bot",
        "sent" => "→ people",
        "control" => "test",
        other => other,
    };
    let status = happening.status.map(|status| format!(" <b>{status}</b>")).unwrap_or_default();
    let mut text = format!("{}{status}", escaped(&happening.text));
    if let Some(problem) = &happening.problem {
        put(&mut text, &format!("<br><span class=\"why\">{}</span>", escaped(problem)));
    }
    if let Some(id) = &happening.connection_id {
        let tail = id.chars().count().saturating_sub(8);
        let short: String = id.chars().skip(tail).collect();
        let (id, short) = (escaped(id), escaped(&short));
        put(&mut text, &format!(" <span class=\"quiet\" title=\"{id}\">…{short}</span>"));
    }
    let mut bodies = String::new();
    let given = [&happening.body, &happening.answer].into_iter().flatten();
    for body in given.filter(|body| !body.is_empty()) {
        put(&mut bodies, &format!("<pre>{}</pre>", escaped(&readable(body))));
    }
    if !bodies.is_empty() {
        text = format!("<details><summary>{text}</summary>{bodies}</details>");
    }
    let kind = escaped(&happening.kind);
    format!(
        "<tr class=\"{kind}\"><td>{}</td><td>{}</td><td>{text}</td></tr>",
        seconds(happening.after_ms),
        escaped(way)
    )
}

/// JSON on several lines; anything else as it stands.
fn readable(body: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value) => format!("{value:#}"),
        Err(_) => body.to_owned(),
    }
}

fn seconds(ms: i64) -> String {
    format!("{}{}.{:03} s", if ms < 0 { "-" } else { "" }, ms.abs() / 1000, ms.abs() % 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::run::timeline::sample;
    use crate::run::verdict::sample as outcome;
    use crate::run::{Outcome, Report, Setup, Verdict};
    use crate::suite::Suite;

    #[test]
    fn all_that_a_bot_chose_is_escaped() {
        let evil = "<script>alert('x')</script>\"";
        let case = Outcome {
            verdict: Verdict::Fail,
            title: evil.to_owned(),
            why: Some(evil.to_owned()),
            expected: Some(json!({ "texts": [evil] })),
            seen: Some(json!({ "texts": [] })),
            baseline: Some(evil.to_owned()),
            repro: evil.to_owned(),
            journal: vec![sample(evil)],
            output: evil.to_owned(),
            checks: vec![evil.to_owned()],
            ..outcome(&format!("a/{evil}"))
        };
        let suite = Suite::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        let setup = Setup { subject: evil.to_owned(), ..Setup::default() };
        let report = Report::new(&suite, &setup, vec![case], vec![evil.to_owned()]);
        let page = super::report(&report);
        assert_eq!(page.matches("<script>").count(), 1, "the page's own");
        assert!(page.matches("&lt;script&gt;").count() >= 12, "{page}");
    }

    #[test]
    fn times_before_the_first_entry_are_written_too() {
        assert_eq!(super::seconds(1_234), "1.234 s");
        assert_eq!(super::seconds(-50), "-0.050 s");
    }
}
