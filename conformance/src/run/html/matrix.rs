//! The page of several bots.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{page, seal, tiles};
use crate::run::Verdict;
use crate::run::escape::escaped;
use crate::run::matrix::{Cell, Matrix, Row};

/// All bots side by side.
pub(in crate::run) fn matrix(matrix: &Matrix) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for cell in matrix.cases.iter().flat_map(|row| row.verdicts.iter().flatten()) {
        *counts.entry(cell.verdict).or_default() += 1;
    }
    let mut body = format!(
        "<header>\n<h1>DingTalk conformance: {} bots</h1>\n<p class=\"quiet\">{} cases · version \
         {} · a dotted verdict is known by the bot's baseline · choose one to read why</p>\n\
         </header>\n{}<div class=\"scroll\"><table class=\"matrix\">\n<thead><tr><th>case</th>",
        matrix.subjects.len(),
        matrix.cases.len(),
        escaped(&matrix.version),
        tiles(&counts),
    );
    for subject in &matrix.subjects {
        let passes = subject.counts.get(&Verdict::Pass).copied().unwrap_or_default();
        let all: usize = subject.counts.values().sum();
        put(
            &mut body,
            &format!(
                "<th title=\"{}\">{}<br>{}<br><span class=\"quiet\">{passes} of {all}</span></th>",
                escaped(&subject.subject),
                escaped(&subject.name),
                seal(subject.passed, &subject.counts)
            ),
        );
    }
    put(&mut body, "</tr></thead>\n<tbody>");
    let mut area = "";
    for row in &matrix.cases {
        let own = row.case.split_once('/').map_or("", |(area, _)| area);
        if own != area {
            area = own;
            let width = matrix.subjects.len() + 1;
            let name = escaped(area);
            put(&mut body, &format!("<tr class=\"area\"><th colspan=\"{width}\">{name}</th></tr>"));
        }
        case(&mut body, row);
    }
    put(&mut body, "</tbody></table></div>");
    page("DingTalk conformance, side by side", &body)
}

fn put(body: &mut String, line: &str) {
    writeln!(body, "{line}").expect("a string takes any text");
}

fn case(body: &mut String, row: &Row) {
    let verdicts: Vec<&str> =
        row.verdicts.iter().flatten().map(|cell| cell.verdict.as_str()).collect();
    put(
        body,
        &format!(
            "<tr data-verdict=\"{}\"><th scope=\"row\"><code>{}</code><span \
             class=\"quiet\">{} · {}</span></th>",
            verdicts.join(" "),
            escaped(&row.case),
            row.level.as_str(),
            escaped(&row.title)
        ),
    );
    for verdict in &row.verdicts {
        put(body, &cell(verdict.as_ref()));
    }
    put(body, "</tr>");
}

fn cell(cell: Option<&Cell>) -> String {
    let Some(cell) = cell else { return "<td class=\"quiet\">–</td>".to_owned() };
    let name = cell.verdict.as_str();
    let known = if cell.baseline.is_some() { " known" } else { "" };
    let word = if cell.verdict == Verdict::NotApplicable { "n/a" } else { name };
    let mut why = String::new();
    for line in [&cell.why, &cell.baseline].into_iter().flatten() {
        put(&mut why, &format!("<p>{}</p>", escaped(line)));
    }
    let badge = format!("<b class=\"badge {name}{known}\">{word}</b>");
    if why.is_empty() {
        format!("<td>{badge}</td>")
    } else {
        format!("<td><details><summary>{badge}</summary>{why}</details></td>")
    }
}

#[cfg(test)]
mod tests {
    use crate::run::verdict::sample;
    use crate::run::{Matrix, Outcome, Report, Setup, Verdict};
    use crate::suite::Suite;

    #[test]
    fn a_row_has_a_cell_for_each_bot_and_bots_may_lack_cases() {
        let suite = Suite::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        let of = |name: &str, cases| {
            let setup = Setup { subject: format!("{name}<"), ..Setup::default() };
            (name.to_owned(), Report::new(&suite, &setup, cases, Vec::new()))
        };
        let failed =
            Outcome { verdict: Verdict::Fail, why: Some("<late>".into()), ..sample("b/y") };
        let reports = [of("one", vec![sample("a/x"), failed]), of("two", vec![sample("a/x")])];
        let matrix = Matrix::new(&reports);
        let shown: Vec<_> = matrix
            .cases
            .iter()
            .map(|row| {
                let cells = row.verdicts.iter();
                let names = cells.map(|cell| cell.as_ref().map(|cell| cell.verdict.as_str()));
                (row.case.as_str(), names.collect::<Vec<_>>())
            })
            .collect();
        let expected =
            [("a/x", vec![Some("pass"), Some("pass")]), ("b/y", vec![Some("fail"), None])];
        assert_eq!(shown, expected);
        let page = matrix.html();
        assert!(page.contains("&lt;late&gt;") && page.contains("title=\"one&lt;\""), "{page}");
        assert!(page.contains("<td class=\"quiet\">–</td>"));
    }
}
