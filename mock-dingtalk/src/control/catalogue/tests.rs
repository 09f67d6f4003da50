use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::{Body, Twin, Verb, calls, schema::ACTIONS};
use crate::control::{description, fault_json, fields::Fields};

/// Library methods that no control call stands for, and why.
const WITHOUT_CALL: &[(&str, &str)] = &[
    ("MockDingtalk::start", "a mock that is not there cannot be called"),
    ("MockDingtalk::builder", "a mock that is not there cannot be called"),
    ("MockDingtalk::url", "whoever calls knows it; in the ready line"),
    ("MockDingtalk::ws_url", "in the ready line"),
    ("MockDingtalk::address", "whoever calls knows it"),
    ("MockDingtalk::admin_token", "whoever calls knows it; in the ready line"),
    ("MockDingtalk::mutations", "only where the mock was built to be wrong, for its own tests"),
    ("App::client_id", "a part of `App::info`"),
    ("App::client_secret", "a part of `App::info`"),
    ("App::robot_code", "a part of `App::info`"),
];

/// Types of the library whose public methods are verbs.
const VERBS_OF: [&str; 3] = ["MockDingtalk", "App", "MockClock"];

/// `Type::method` of each public method, read from the sources.
fn library_methods() -> BTreeSet<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join("library.rs")];
    let folder = fs::read_dir(src.join("library")).unwrap();
    files.extend(folder.map(|entry| entry.unwrap().path()));
    let mut methods = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut of = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("impl ") {
                of = rest.trim_end_matches(" {");
            }
            let line = line.trim_start();
            let rest = ["pub fn ", "pub async fn ", "pub const fn "]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            if let (Some(rest), true) = (rest, VERBS_OF.contains(&of)) {
                let end = rest.find(['(', '<']).unwrap();
                methods.insert(format!("{of}::{}", &rest[..end]));
            }
        }
    }
    methods
}

#[test]
fn every_library_method_has_its_call_and_every_call_its_method() {
    let methods = library_methods();
    assert!(methods.len() > 50, "the scan found {methods:?}");
    let mut twins = BTreeSet::new();
    for call in calls() {
        match call.twin {
            Twin::Methods(names) => {
                assert!(!names.is_empty(), "{} has neither a twin nor a reason", call.id);
                for name in names {
                    assert!(methods.contains(*name), "{}: there is no {name}", call.id);
                    twins.insert((*name).to_owned());
                }
            }
            Twin::None(why) => assert!(!why.is_empty(), "{}", call.id),
        }
    }
    let excused: BTreeSet<String> =
        WITHOUT_CALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let overlap: Vec<_> = twins.intersection(&excused).collect();
    assert!(overlap.is_empty(), "{overlap:?} have a call");
    let known: BTreeSet<_> = twins.union(&excused).cloned().collect();
    let without: Vec<_> = methods.difference(&known).collect();
    assert!(without.is_empty(), "no control call, and no reason: {without:?}");
    let stale: Vec<_> = known.difference(&methods).collect();
    assert!(stale.is_empty(), "not in the library any more: {stale:?}");
}

#[test]
fn every_call_has_its_verb_or_the_reason_why_there_is_none() {
    let mut verbs = BTreeSet::new();
    for call in calls() {
        match call.verb {
            Verb::Words(words) => {
                assert!(!words.is_empty(), "{}", call.id);
                assert!(verbs.insert(words), "{}: `{words}` is another call's", call.id);
            }
            Verb::None(why) => assert!(!why.is_empty(), "{} has no verb and no reason", call.id),
        }
    }
}

/// README.md lists calls by path, those of an app as `…/{clientId}/…`.
#[test]
fn every_call_is_in_the_readme() {
    let readme = include_str!("../../../README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for call in calls() {
        let short = call.path.replacen("/_mock/apps/{clientId}/", "…/{clientId}/", 1);
        let shorter = short.replacen("…/{clientId}/", "…/", 1);
        let listed = rows.iter().any(|row| {
            let first = row.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
            let mut calls = first.split("`, `").map(|call| call.trim_matches('`'));
            calls.any(|named| {
                let (methods, path) = named.split_once(' ').unwrap_or(("", named));
                let path = path.split('?').next().unwrap_or_default();
                let methods = methods.is_empty() || methods.split('·').any(|m| m == call.method);
                methods && [call.path, &short, &shorter].contains(&path)
            })
        });
        assert!(listed, "{} {} is not in the README", call.method, call.path);
    }
}

#[test]
fn the_router_is_made_of_the_catalogue_alone() {
    let source = include_str!("../../control.rs");
    let routes: Vec<&str> =
        source.lines().filter(|line| line.contains(".route(")).map(str::trim).collect();
    let expected = [
        "*router = std::mem::take(router).route(call.path, call.route());",
        r#".route("/_mock", any(unknown))"#,
        r#".route("/_mock/{*rest}", any(unknown))"#,
    ];
    assert_eq!(routes, expected);
}

#[test]
fn the_description_is_well_formed() {
    let document = description::document();
    let mut ids = BTreeSet::new();
    for call in calls() {
        assert!(ids.insert(call.id), "{} twice", call.id);
        let operation = &document["paths"][call.path][call.method.to_ascii_lowercase()];
        assert_eq!(operation["operationId"], call.id);
        let declared: BTreeMap<&str, &str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|each| (each["name"].as_str().unwrap(), each["in"].as_str().unwrap()))
            .collect();
        let in_path: Vec<&str> = description::path_parameters(call.path).collect();
        for name in &in_path {
            assert_eq!(declared.get(name), Some(&"path"), "{}", call.id);
        }
        assert_eq!(declared.len(), in_path.len() + call.query.len(), "{}", call.id);
        if let Body::Json(_, examples) = call.body {
            for example in examples {
                assert!(serde_json::from_str::<Value>(example).is_ok(), "{}: {example}", call.id);
            }
        }
    }
    let operations: usize = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|at| at.as_object().unwrap().len())
        .sum();
    assert_eq!(operations, ids.len(), "two calls share a method and a path");
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let found = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(found.is_some(), "{reference} leads nowhere");
    }
}

fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|inner| collect_references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect_references(inner, found)),
        _ => {}
    }
}

#[test]
fn the_description_knows_all_fault_actions() {
    let text = r#"{"when":"open","action":{"type":"?"}}"#;
    let error = fault_json::read(Fields::parse(text.as_bytes()).unwrap()).unwrap_err().to_string();
    let allowed = error.rsplit_once("one of ").unwrap().1;
    let described: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(described.join(", "), allowed);
}
