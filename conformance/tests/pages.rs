//! What users copy: the page for Rust in `mock-dingtalk/docs/ci`, and the steps of the GitHub Action.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BOT: &str = env!("CARGO_BIN_EXE_dingtalk-raw-bot");

#[test]
fn the_page_for_rust_shows_the_test_beside_this_one() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("../mock-dingtalk/docs/ci/rust.md")).unwrap();
    let (_, rest) = page.split_once("`tests/bot.rs`:\n\n```rust\n").expect("the page has the file");
    let (shown, _) = rest.split_once("```\n").expect("the fence ends");
    let run = fs::read_to_string(here.join("tests/rust_page.rs")).unwrap();
    assert_eq!(shown.replace("my-bot", "dingtalk-raw-bot"), run);
}

/// A step of the action, with its inputs as the action hands them over.
fn action(step: &str, inputs: &[(&str, &str)]) -> Output {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Path::new(env!("CARGO_BIN_EXE_dingtalk-conformance"))
        .parent()
        .expect("a program is in a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [programs.to_owned()].into_iter().chain(std::env::split_paths(&path));
    Command::new(here.join("action/run"))
        .arg(step)
        .env("PATH", std::env::join_paths(path).expect("paths have no separator in them"))
        .envs(inputs.iter().copied())
        .output()
        .expect("the step starts")
}

#[test]
fn the_action_judges_a_bot_by_what_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("a report");
    let report = report.to_str().unwrap();
    let good =
        [("SUBJECT", BOT), ("CASES", "ack/once\ntext/d*\n"), ("REPORT", report), ("SEED", "")];
    let output = action("judge", &good);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("2 cases: 2 pass"), "{text}");
    assert!(Path::new(report).join("junit.xml").is_file());

    let broken = format!("{BOT} --broken double-ack");
    let output = action("judge", &[("SUBJECT", &broken), ("CASES", "ack/once")]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_action_knows_its_programs_by_what_they_are_made_of() {
    let key = |inputs| String::from_utf8(action("key", inputs).stdout).unwrap();
    let release = key(&[]);
    assert_eq!(release.trim().len(), 32);
    assert_eq!(release, key(&[("PROFILE", "release")]));
    assert_ne!(release, key(&[("PROFILE", "dev")]));
    assert_eq!(action("judge it", &[]).status.code(), Some(2));
}

/// Every input of the action gets to a step, and every step is one of the script.
#[test]
fn the_action_hands_every_input_over() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("action");
    let action = fs::read_to_string(here.join("action.yml")).unwrap();
    let (inputs, steps) = action.split_once("\nruns:").expect("inputs come first");
    let names = inputs.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    let names: Vec<_> = names.filter(|name| !name.starts_with(' ')).collect();
    assert_eq!(names.len(), 7, "{names:?}");
    for name in names {
        assert!(steps.contains(&format!("${{{{ inputs.{name} }}}}")), "{name} goes nowhere");
    }
    let script = fs::read_to_string(here.join("run")).unwrap();
    for variable in ["SUBJECT", "CAPABILITIES", "CASES", "BASELINE", "REPORT", "SEED", "PROFILE"] {
        assert!(steps.contains(&format!("{variable}: ")), "{variable} is not set");
        assert!(
            script.contains(&format!("${{{variable}")) || script.contains(&format!("${variable}"))
        );
    }
}
