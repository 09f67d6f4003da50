//! The suite itself: traced both ways, and written as its published schema says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::path::{Path, PathBuf};

use dingtalk_conformance::run::{CAPABILITIES, capabilities};
use dingtalk_conformance::suite::Suite;
use mock_dingtalk::Scenario;
use serde_json::Value;

#[path = "../../mock-dingtalk/tests/it/schema.rs"]
mod schema;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn suite() -> Suite {
    Suite::open(folder()).expect("the suite can be read")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_requirement_has_a_case_or_a_reason_and_every_case_a_requirement() {
    let trace = suite().trace();
    println!("{trace}");
    assert_eq!(trace.untraced, []);
    assert!(trace.cases.values().sum::<usize>() >= 25, "{trace}");
}

#[test]
fn what_cases_need_is_a_capability_and_the_readme_lists_all_of_them() {
    for case in suite().cases() {
        let needs = case.scenario().needs.iter().map(String::as_str);
        assert!(capabilities(needs).is_ok(), "{} needs {:?}", case.id(), case.scenario().needs);
    }
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, meaning) in CAPABILITIES {
        let meaning = meaning.replace("{state}", "`{state}`").replace("--push-cmd", "`--push-cmd`");
        let line = format!("| `{name}` | {meaning} |");
        assert!(readme.contains(&line), "the README lacks {line}");
    }
}

/// Each wire shape of a message is played.
#[test]
fn every_message_of_the_fixtures_has_a_case() {
    let fixtures = std::fs::read_dir(folder().join("../fixtures/stream")).unwrap();
    let names = fixtures.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned());
    let names = names.map(|name| name.into_string().unwrap());
    let messages: Vec<String> = names
        .filter(|name| name.starts_with("callback_bot_") || name == "callback_delegate_text")
        .collect();
    let cases: String =
        suite().cases().map(|case| std::fs::read_to_string(case.path()).unwrap()).collect();
    for name in &messages {
        assert!(cases.contains(&format!("\"stream/{name}\"")), "no case plays stream/{name}");
    }
    println!("{} message types and variants", messages.len());
    assert!(messages.len() >= 40);
}

#[test]
fn the_published_schema_is_that_of_the_reader() {
    let path = folder().join("scenario.schema.json");
    let mut text = serde_json::to_string_pretty(&Scenario::schema()).unwrap();
    text.push('\n');
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(published == text, "write it anew: UPDATE_SCHEMA=1 cargo test -p dingtalk-conformance");
}

#[test]
fn every_scenario_fits_the_schema_and_names_it() {
    let schema = Scenario::schema();
    let mut count = 0;
    for case in suite().cases() {
        let file = read(case.path());
        assert!(schema::fits(&schema, &schema, &file), "{}", case.id());
        let named = file["$schema"].as_str().expect("editors need it");
        let named = case.path().parent().unwrap().join(named);
        assert!(named.is_file(), "{} names {}", case.id(), named.display());
        count += 1;
    }
    println!("{count} scenarios");
}

#[test]
fn schema_and_reader_refuse_the_same() {
    let schema = Scenario::schema();
    let with = |steps: &str| format!(r#"{{"title":"t","patience":"1s","steps":{steps}}}"#);
    let good = with(r#"[{"connections":{"open":1}},{"cut":{"type":"rst"}}]"#);
    assert!(Scenario::read(&good).is_ok());
    assert!(schema::fits(&schema, &schema, &serde_json::from_str(&good).unwrap()));
    for text in [
        r#"{"title":"t","steps":[{"clearFaults":{}}]}"#.to_owned(),
        with(r#"[{"connections":{"opne":1}}]"#),
        with(r#"[{"connections":{"open":"1"}}]"#),
        with(r#"[{"cut":{"type":"axe"}}]"#),
        with(r#"[{"sleep":{"for":"1s"}}]"#),
        with(r#"[{"clearFaults":{},"restart":{}}]"#),
        with(r#"[{"fault":{"when":"open","action":{"type":"unheardOf"}}}]"#),
        with(r#"[{"message":{"text":"from nobody"}}]"#),
        with(r#"[{"noFindings":{"rules":["unheard-of"]}}]"#),
        with(r#"[{"push":{"text":"to nobody"}}]"#),
        with(r#"[{"stop":{"status":"0"}}]"#),
        with(r#"[{"press":{"actionIds":["a"]}}]"#),
        with(r#"[{"cards":{"shown":"a"}}]"#),
        with(r#"[{"asked":{"pictures":"1"}}]"#),
        r#"{"title":"t","patience":"1s","model":{"lines":[{}]},"steps":[{"clearFaults":{}}]}"#
            .to_owned(),
    ] {
        assert!(Scenario::read(&text).is_err(), "{text}");
        let value = serde_json::from_str(&text).unwrap();
        assert!(!schema::fits(&schema, &schema, &value), "{text}");
    }
}
