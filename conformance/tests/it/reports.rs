//! What `run --report` writes, and what the other verbs make of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use roxmltree::{Document, Node};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{BOT, err, out, run};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A report of a bot that acks twice: a failure, a pass, and a case that needs more.
struct Reported {
    dir: TempDir,
    output: Output,
}

impl Reported {
    fn of(subject: &str, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let report = dir.path().join("bot");
        let mut arguments = vec!["run", "--subject", subject, "--report", report.to_str().unwrap()];
        arguments.extend(["--case", "ack/once", "--case", "text/g*", "--case", "text/dm"]);
        arguments.extend(more);
        let output = run(&arguments);
        Self { dir, output }
    }

    fn broken() -> Self {
        Self::of(&format!("{BOT} --broken double-ack"), &[])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("bot").join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// Whether a value fits a schema, as far as the published one goes.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let found = document.pointer(&reference[1..]).ok_or("no such definition")?;
        return fits(document, found, value);
    }
    let known = ["$schema", "title", "description", "$defs", "type", "enum", "minimum"];
    let parts = ["properties", "required", "additionalProperties", "items"];
    for word in schema.as_object().ok_or("a schema is an object")?.keys() {
        assert!(known.contains(&word.as_str()) || parts.contains(&word.as_str()), "{word}");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        other => panic!("another type: {other}"),
    };
    if !kinds.is_empty() && !kinds.iter().any(is) {
        return Err(format!("{value} is no {kinds:?}"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    if let Some(least) = schema["minimum"].as_i64()
        && value.as_i64().is_some_and(|number| number < least)
    {
        return Err(format!("{value} is less than {least}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Err(format!("`{name}` is missing"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let schema = match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => schema,
            (None, Value::Bool(false)) => return Err(format!("`{name}` is not known")),
            (None, Value::Null) => continue,
            (None, other) => other,
        };
        fits(document, schema, member).map_err(|why| format!("{name}: {why}"))?;
    }
    if let Some(schema) = schema.get("items") {
        for item in value.as_array().into_iter().flatten() {
            fits(document, schema, item)?;
        }
    }
    Ok(())
}

#[test]
fn results_are_as_the_published_schema_says() {
    let schema = json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results.schema.json"));
    let reported = Reported::broken();
    let mut results = json(&reported.path("results.json"));
    assert_eq!(fits(&schema, &schema, &results), Ok(()));
    let case = &results["cases"][0];
    assert_eq!(case["expected"]["times"], 1, "{case}");
    assert_eq!(case["seen"]["times"], 2, "{case}");
    assert_eq!(results["suite"]["cases"], count(&["list"]));
    results["cases"][0]["verdict"] = "splendid".into();
    assert!(fits(&schema, &schema, &results).is_err());
}

/// Element, attributes that it has to have and may have, children that it may have.
type Rule =
    (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// As in the schema of Jenkins (junit-10.xsd), the part that is used.
const JUNIT: [Rule; 4] = [
    ("testsuite", &["name", "tests"], &["failures", "errors", "skipped", "time"], &["testcase"]),
    ("testcase", &["name"], &["classname", "time"], &["failure", "skipped"]),
    ("failure", &[], &["message", "type"], &[]),
    ("skipped", &[], &["message", "type"], &[]),
];

fn check_junit(node: Node<'_, '_>) {
    let name = node.tag_name().name();
    let rule = JUNIT.iter().find(|(known, ..)| *known == name);
    let (_, required, optional, children) = rule.unwrap_or_else(|| panic!("<{name}>"));
    for attribute in node.attributes() {
        let known = required.contains(&attribute.name()) || optional.contains(&attribute.name());
        assert!(known, "<{name} {}>", attribute.name());
        match attribute.name() {
            "time" => assert!(attribute.value().parse::<f64>().is_ok(), "{attribute:?}"),
            "tests" | "failures" | "errors" | "skipped" => {
                assert!(attribute.value().parse::<u32>().is_ok(), "{attribute:?}");
            }
            _ => {}
        }
    }
    assert!(required.iter().all(|name| node.has_attribute(*name)), "<{name}>");
    for child in node.children().filter(Node::is_element) {
        assert!(children.contains(&child.tag_name().name()), "<{name}><{:?}>", child.tag_name());
        check_junit(child);
    }
}

#[test]
fn junit_is_what_ci_systems_read() {
    let reported = Reported::broken();
    let text = fs::read_to_string(reported.path("junit.xml")).unwrap();
    let document = Document::parse(&text).unwrap();
    let suite = document.root_element();
    check_junit(suite);
    let count = |name: &str| {
        suite.descendants().filter(|node| node.tag_name().name() == name).count().to_string()
    };
    for (attribute, element) in
        [("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")]
    {
        assert_eq!(suite.attribute(attribute), Some(count(element).as_str()), "{text}");
    }
    let failure = suite.descendants().find(|node| node.tag_name().name() == "failure").unwrap();
    assert!(failure.attribute("message").unwrap().contains("got 2 answers, not 1"));

    let known = reported.dir.path().join("known.toml");
    fs::write(&known, "\"ack/once\" = \"twice\"\n\"text/group\" = \"deaf\"\n").unwrap();
    let more = ["--baseline", known.to_str().unwrap()];
    let reported = Reported::of(&format!("{BOT} --broken double-ack"), &more);
    let said = out(&reported.output);
    assert!(said.contains(", 1 by the baseline, 1 of the baseline not tried\n"), "{said}");
    let text = fs::read_to_string(reported.path("junit.xml")).unwrap();
    assert!(text.contains("failures=\"0\" errors=\"0\" skipped=\"2\""), "{text}");
    assert_eq!(text.matches("<skipped ").count(), 2, "{text}");
}

#[test]
fn a_page_is_not_written_over_by_its_json() {
    let reported = Reported::broken();
    let page = reported.dir.path().join("matrix.json");
    let output = run(&["matrix", &reported.text(""), "--out", page.to_str().unwrap()]);
    assert_eq!((output.status.code(), out(&output)), (Some(2), ""));
    assert!(!page.exists());
}

#[test]
fn a_suite_that_is_not_traced_says_so_beside_its_json() {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [
        (
            "requirements/one.toml",
            "[lonely]\nlevel = \"MUST\"\nsentence = \"It is.\"\nsource = \"a\"\nsince = \"0.1.0\"\n",
        ),
        (
            "scenarios/a/b.json",
            r#"{"title":"t","checks":["nothing"],"patience":"1s","steps":[{"clearFaults":{}}]}"#,
        ),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let listed = run(&["list", "--json", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(listed.status.code(), Some(1), "{}", err(&listed));
    assert!(err(&listed).contains("lonely"), "{}", err(&listed));
    assert!(serde_json::from_slice::<Value>(&listed.stdout).unwrap().is_array());
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_shows_what_went_wrong() {
    let reported = Reported::broken();
    let page = fs::read_to_string(reported.path("report.html")).unwrap();
    for part in [
        "ack/once",
        "got 2 answers, not 1",
        "<del>-   &quot;times&quot;: 1</del>",
        "<ins>+   &quot;times&quot;: 2</ins>",
        "CALLBACK /v1.0/im/bot/messages/get",
        "dingtalk-conformance run --subject",
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    for elsewhere in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn a_report_is_shown_and_rendered_again() {
    let reported = Reported::broken();
    assert_eq!(reported.output.status.code(), Some(1));
    for name in ["junit.xml", "report.html"] {
        fs::remove_file(reported.path(name)).unwrap();
    }
    let again = run(&["report", &reported.text("")]);
    assert_eq!(again.status.code(), Some(1), "{}", out(&again));
    assert_eq!(out(&again), out(&reported.output));
    assert!(out(&again).contains("the suite holds "), "{}", out(&again));
    assert!(reported.path("junit.xml").exists() && reported.path("report.html").exists());
    let printed = run(&["report", &reported.text("results.json"), "--json"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed, json(&reported.path("results.json")));
    let none = run(&["report", "/no/such/report"]);
    assert_eq!(none.status.code(), Some(66));
    fs::write(reported.path("results.json"), "{}").unwrap();
    assert_eq!(run(&["report", &reported.text("")]).status.code(), Some(65));
}

#[test]
fn a_baseline_is_written_kept_and_cleared_of_what_is_mended() {
    let reported = Reported::broken();
    let (report, file) = (reported.text(""), reported.dir.path().join("baseline.toml"));
    let path = file.to_str().unwrap();
    let write = |more: &[&str]| {
        let mut arguments = vec!["baseline", "--report", &report, "--out", path];
        arguments.extend(more);
        run(&arguments)
    };
    let refused = write(&[]);
    assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
    assert!(out(&refused).contains("nothing says why") && !file.exists(), "{}", out(&refused));
    let defects = reported.dir.path().join("defects.toml");
    fs::write(&defects, "[twice]\nreason = \"it acks twice\"\ncases = [\"ack/*\"]\n").unwrap();
    let written = write(&["--defects", defects.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{}", out(&written));
    assert_eq!(fs::read_to_string(&file).unwrap(), "\"ack/once\" = \"it acks twice\"\n");

    let known = Reported::of(&format!("{BOT} --broken double-ack"), &["--baseline", path]);
    assert_eq!(known.output.status.code(), Some(0), "{}", out(&known.output));
    assert!(out(&known.output).contains(", 1 by the baseline\n"), "{}", out(&known.output));

    let entries = "# Mine.\n\"ack/once\" = \"my words\"\n\"text/dm\" = \"it was deaf\"\n";
    fs::write(&file, format!("{entries}\"no/case\" = \"of old\"\n")).unwrap();
    let kept = write(&["--reason", "unused"]);
    assert_eq!(kept.status.code(), Some(0), "{}", out(&kept));
    assert!(out(&kept).contains("dropped: no/case\ndropped: text/dm\n"), "{}", out(&kept));
    assert_eq!(fs::read_to_string(&file).unwrap(), "# Mine.\n\"ack/once\" = \"my words\"\n");
}

#[test]
fn the_matrix_has_a_column_for_each_bot() {
    let (broken, sound) = (Reported::broken(), Reported::of(BOT, &["--capabilities", "groups"]));
    let page = broken.dir.path().join("matrix.html");
    let named = format!("sound={}", sound.text(""));
    let output = run(&["matrix", &broken.text(""), &named, "--out", page.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    assert!(out(&output).starts_with("bot: failed: 3 cases: "), "{}", out(&output));
    let table = json(&page.with_extension("json"));
    let columns: Vec<_> =
        table["subjects"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(columns, ["bot", "sound"]);
    let rows: BTreeMap<&str, Vec<&str>> = table["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let cells = row["verdicts"].as_array().unwrap().iter();
            let verdicts = cells.map(|cell| cell["verdict"].as_str().unwrap()).collect();
            (row["case"].as_str().unwrap(), verdicts)
        })
        .collect();
    assert_eq!(rows["ack/once"], ["fail", "pass"]);
    assert_eq!(rows["text/group"], ["not-applicable", "pass"]);
    assert!(fs::read_to_string(&page).unwrap().contains("got 2 answers, not 1"));
}

#[test]
fn a_case_that_passes_and_fails_is_flaky() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let mark = mark.display();
    // Every second start is sound.
    let subject = format!(
        "if [ -e {mark} ]; then rm {mark}; exec {BOT}; fi; touch {mark}; exec {BOT} --broken double-ack"
    );
    let mut arguments = vec!["run", "--subject", &subject, "--case", "ack/once"];
    arguments.extend(["--repeat", "2", "--jobs", "1", "--seed", "random"]);
    let output = run(&arguments);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("flaky: 1 of 2 runs passed; with the seed "), "{text}");
    let seed = text.lines().find_map(|line| line.strip_prefix("seed: ")).unwrap();
    assert!(seed.parse::<u64>().is_ok_and(|seed| seed > 1), "{text}");
}

#[test]
fn cases_are_chosen_by_level_area_and_glob_together() {
    let rows = |more: &[&str]| {
        let mut arguments = vec!["list", "--json"];
        arguments.extend(more);
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{more:?}");
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        rows
    };
    let all = rows(&[]).len();
    let parts: usize =
        ["MUST", "should", "OBSERVED"].iter().map(|level| count(&["list", "--level", level])).sum();
    assert_eq!(parts, all);
    let acks = rows(&["--area", "ack"]);
    assert!(!acks.is_empty() && acks.len() < all);
    assert!(acks.iter().all(|row| row["case"].as_str().unwrap().starts_with("ack/")));
    let few = rows(&["--area", "ack,text", "--level", "MUST", "--case", "*/once"]);
    assert_eq!(few.len(), 1);
    for wrong in [["--area", "nowhere"], ["--level", "PERHAPS"], ["--case", "no/*"]] {
        let output = run(&["list", wrong[0], wrong[1]]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(run(&["list", "--area", "ack", "--case", "text/dm"]).status.code(), Some(2));
}

/// How many cases a list names; none where nothing fits.
fn count(arguments: &[&str]) -> usize {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let rows: Vec<Value> = serde_json::from_slice(&run(&arguments).stdout).unwrap_or_default();
    rows.len()
}
