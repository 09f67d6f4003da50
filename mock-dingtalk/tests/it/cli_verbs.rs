//! Which verbs there are: one for each control call, and what else the program does.

use std::collections::BTreeSet;

use mock_dingtalk::MockDingtalk;
use serde_json::Value;

use crate::process::run;

/// Verbs that are no control call of a running mock, and why.
const WITHOUT_CALL: &[(&str, &str)] = &[
    ("serve", "it starts a mock"),
    ("run", "it starts a mock"),
    ("replay", "it serves a recorded session"),
    ("scenario", "it plays what a file says, by many calls"),
    ("help", "the parser's own"),
];

#[test]
fn every_verb_is_a_control_call_or_does_something_of_its_own() {
    let mut called = BTreeSet::new();
    for at in MockDingtalk::openapi()["paths"].as_object().unwrap().values() {
        for operation in at.as_object().unwrap().values() {
            if let Some(verb) = operation["x-cli"].as_str() {
                called.insert(verb.split(' ').next().unwrap().to_owned());
            }
        }
    }
    let excused: BTreeSet<String> =
        WITHOUT_CALL.iter().map(|(verb, _)| (*verb).to_owned()).collect();
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs: BTreeSet<String> =
        listed.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(verbs.len() > 25, "{verbs:?}");
    let known: BTreeSet<String> = called.union(&excused).cloned().collect();
    assert_eq!(verbs, known);
    assert_eq!(called.intersection(&excused).count(), 0);
}

#[test]
fn the_program_describes_itself_and_has_every_verb_of_the_description() {
    let output = run(&["openapi"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document, MockDingtalk::openapi());
    let mut verbs = 0;
    for operation in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|at| at.as_object().unwrap().values())
    {
        let Some(verb) = operation["x-cli"].as_str() else { continue };
        verbs += 1;
        let words: Vec<&str> = verb.split(' ').filter(|word| !word.starts_with("--")).collect();
        let output = run(&[words.as_slice(), &["--help"]].concat());
        let help = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb}");
        for option in verb.split(' ').filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{verb}: {help}");
        }
    }
    assert!(verbs > 55, "{verbs}");
}
