//! The suite itself: traced both ways, and written as its published schema says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dingtalk_conformance::run::{CAPABILITIES, capabilities};
use dingtalk_conformance::suite::{Axis, Combination, Level, Product, Suite};
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

/// A case that is gone, asks for less than before or needs more is seen here: `INSTA_UPDATE=always` takes the new
/// list, which belongs into the same change.
#[test]
fn what_the_cases_ask_is_what_they_asked() {
    let suite = suite();
    let mut shown = String::new();
    for case in suite.cases() {
        let (id, level) = (case.id(), suite.level(case).as_str());
        let (checks, needs) = (&case.scenario().checks, &case.scenario().needs);
        write!(shown, "{id}: {level} {}", checks.join(" ")).unwrap();
        if !needs.is_empty() {
            write!(shown, " (needs {})", needs.join(" ")).unwrap();
        }
        let file: Value = serde_json::from_str(case.text()).unwrap();
        let steps = file["steps"].as_array().unwrap();
        let kinds = steps.iter().flat_map(|step| step.as_object().unwrap().keys());
        let kinds: Vec<_> = kinds.filter(|kind| *kind != "as" && *kind != "within").collect();
        assert_eq!(kinds.len(), steps.len(), "{id}");
        let runs = kinds.chunk_by(|one, other| one == other);
        let runs = runs.map(|run| match run.len() {
            1 => run[0].clone(),
            times => format!("{}*{times}", run[0]),
        });
        writeln!(shown, "\n    {}", runs.collect::<Vec<_>>().join(" ")).unwrap();
    }
    // One that is not read would not be missed.
    let files = files_below(&folder().join("scenarios"));
    let read = suite.cases().filter(|case| case.path().starts_with(folder().join("scenarios")));
    assert_eq!((read.count(), shown.lines().count()), (files, 2 * suite.cases().count()));
    println!("{files} scenario files, {} cases", suite.cases().count());
    insta::assert_snapshot!(shown);
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

/// A fault that is over after a time may be over before the bot meets it.
#[test]
fn no_case_rests_on_a_fault_that_may_never_act() {
    let mut count = 0;
    for case in suite().cases() {
        let file: Value = serde_json::from_str(case.text()).unwrap();
        let steps = file["steps"].as_array().unwrap();
        let is_hit = |fault: &Value| {
            fault["as"].is_string() && steps.iter().any(|step| step["hit"]["of"] == fault["as"])
        };
        for step in steps.iter().filter(|step| step["fault"]["times"]["for"].is_string()) {
            // The same at the same place, as often as it says, will do.
            let same = |other: &&Value| {
                let (one, other) = (&step["fault"], &other["fault"]);
                one["when"] == other["when"] && one["action"] == other["action"]
            };
            assert!(steps.iter().filter(same).any(is_hit), "{} rests on {step}", case.id());
            count += 1;
        }
    }
    assert!(count > 0);
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
fn the_published_schemas_are_those_of_the_readers() {
    let schemas =
        [("scenario.schema.json", Scenario::schema()), ("product.schema.json", Product::schema())];
    for (name, schema) in schemas {
        let path = folder().join(name);
        let mut text = serde_json::to_string_pretty(&schema).unwrap();
        text.push('\n');
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == text,
            "write {name} anew: UPDATE_SCHEMA=1 cargo test -p dingtalk-conformance"
        );
    }
}

/// The products, each with its area and the text of its file.
fn products() -> Vec<(String, PathBuf, Product)> {
    let folder = std::fs::read_dir(folder().join("products")).unwrap();
    let read = |path: PathBuf| {
        let product = Product::read(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), path, product)
    };
    folder.map(|entry| read(entry.unwrap().path())).collect()
}

#[test]
fn every_product_fits_the_schema_and_names_it() {
    let schema = Product::schema();
    for (_, path, _) in products() {
        let mut file = read(&path);
        assert!(schema::fits(&schema, &schema, &file), "{}", path.display());
        assert!(path.parent().unwrap().join(file["$schema"].as_str().unwrap()).is_file());
        file["steps"][0] = serde_json::json!({ "sleep": { "for": "1s" } });
        assert!(!schema::fits(&schema, &schema, &file), "{}", path.display());
    }
}

#[test]
fn every_cut_meets_every_load_and_any_two_values_meet() {
    let suite = suite();
    let mut count = 0;
    for (area, _, product) in products() {
        let cases = product.expand();
        let known: Vec<_> = suite.cases().map(|case| case.id().to_owned()).collect();
        for case in &cases {
            assert!(known.contains(&format!("{area}/{}", case.name)), "{}", case.name);
        }
        for (index, one) in product.axes.iter().enumerate() {
            for (other_index, other) in product.axes.iter().enumerate().skip(index + 1) {
                let pairs = pairs_of(&cases, (index, one), (other_index, other));
                println!("{area}: {} x {}: {pairs} pairs", one.name, other.name);
                count += pairs;
            }
        }
        let all: usize = product.axes.iter().map(|axis| axis.values.len()).product();
        println!("{area}: {} of {all} combinations are cases", cases.len());
    }
    // 27 cuts, 4 loads and 2 states of connections, at least.
    assert!(count >= 27 * 4 + 27 * 2 + 4 * 2, "{count} pairs");
}

/// How many pairs of values of two axes there are; each has to be a part of a case.
fn pairs_of(cases: &[Combination], one: (usize, &Axis), other: (usize, &Axis)) -> usize {
    let parts: Vec<Vec<&str>> = cases.iter().map(|case| case.name.split('+').collect()).collect();
    for first in &one.1.values {
        for second in &other.1.values {
            let meet =
                |parts: &Vec<&str>| parts[one.0] == first.name && parts[other.0] == second.name;
            assert!(parts.iter().any(meet), "no case has {} and {}", first.name, second.name);
        }
    }
    one.1.values.len() * other.1.values.len()
}

#[test]
fn where_one_value_asks_for_more_than_a_bot_must_do_the_case_does() {
    let suite = suite();
    let level = |id: &str| {
        let case = suite.cases().find(|case| case.id().starts_with(id));
        suite.level(case.unwrap_or_else(|| panic!("there is no {id}")))
    };
    assert_eq!(level("reconnect/rst+burst+"), Level::Must);
    for cut in ["zombie", "silent-stop"] {
        assert_eq!(level(&format!("reconnect/{cut}+burst+")), Level::Should);
        let cases =
            suite.cases().filter(|case| case.id().starts_with(&format!("reconnect/{cut}+")));
        assert!(
            cases
                .into_iter()
                .all(|case| case.scenario().needs.contains(&"idle-refresh".to_owned()))
        );
    }
}

#[test]
fn every_scenario_fits_the_schema_and_names_it() {
    let schema = Scenario::schema();
    let mut count = 0;
    for case in suite().cases() {
        let file: Value = serde_json::from_str(case.text()).unwrap();
        assert!(schema::fits(&schema, &schema, &file), "{}", case.id());
        count += 1;
        if case.path().parent().is_some_and(|folder| folder.ends_with("products")) {
            continue;
        }
        let named = file["$schema"].as_str().expect("editors need it");
        let named = case.path().parent().unwrap().join(named);
        assert!(named.is_file(), "{} names {}", case.id(), named.display());
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
        with(r#"[{"burst":{"from":"user0001","text":"b","count":1001}}]"#),
        with(r#"[{"burst":{"from":"user0001","text":"b","count":2,"media":[]}}]"#),
        with(r#"[{"peer":{"name":"x"}}]"#),
        with(r#"[{"restart":{},"as":"x"}]"#),
        with(r#"[{"connections":{"open":1},"as":"x"}]"#),
        with(r#"[{"revokeToken":{"of":"x"}}]"#),
        with(r#"[{"allAnswered":{"only":true}}]"#),
        with(r#"[{"hit":{}}]"#),
        with(r#"[{"disconnect":{"closes":"no"}}]"#),
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
