//! The program as a user meets it: answers on standard output, errors on standard error, exit codes.

use std::fs;
use std::process::Output;

use crate::support::{err, out, run};

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("standard output is JSON")
}

/// A folder with one file, and `record` as its provenance.
fn folder(record: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name, content| fs::write(folder.path().join(name), content);
    write("provenance.toml", record).expect("the temporary folder is writable");
    write("one.json", "{}\n").expect("the temporary folder is writable");
    folder
}

#[test]
fn list_names_every_fixture_with_its_origin() {
    let output = run(&["fixtures", "list"]);
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    let lines: Vec<_> = out(&output).lines().collect();
    println!("{} fixtures", lines.len());
    let ping = lines.iter().find(|line| line.starts_with("stream/system_ping ")).unwrap();
    assert!(ping.contains(" documented "), "{ping}");

    let rows = json(&run(&["fixtures", "list", "--json"]));
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), lines.len());
    let refused = rows.iter().find(|row| row["name"] == "gateway/connections_open.error_401");
    assert_eq!(refused.unwrap()["status"], 401);
    assert_eq!(refused.unwrap()["path"], "gateway/connections_open.error_401.json");
}

#[test]
fn check_says_so_when_nothing_is_wrong() {
    let output = run(&["fixtures", "check"]);
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    assert!(out(&output).ends_with(", 0 wrong\n"), "{}", out(&output));

    let report = json(&run(&["fixtures", "check", "--json"]));
    assert!(report["files"].as_u64().unwrap() > 0);
    assert_eq!(report["files"], report["entries"]);
    assert_eq!(report["violations"], serde_json::json!([]));
}

#[test]
fn check_prints_what_is_wrong_and_exits_with_one() {
    let folder = folder("");
    let dir = folder.path().to_str().unwrap();
    let output = run(&["fixtures", "check", "--dir", dir]);
    assert_eq!((output.status.code(), err(&output)), (Some(1), ""));
    assert!(out(&output).starts_with("one.json: no entry "), "{}", out(&output));

    let output = run(&["fixtures", "check", "--dir", dir, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = serde_json::json!([{"kind": "file-without-entry", "path": "one.json"}]);
    assert_eq!(json(&output)["violations"], expected);
}

#[test]
fn list_shows_a_file_without_an_entry_as_such() {
    let folder = folder("");
    let output = run(&["fixtures", "list", "--json", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(json(&output)[0]["origin"], serde_json::Value::Null);
}

#[test]
fn errors_say_what_and_why_and_what_to_try() {
    let unparsed = folder("[[file]]\npath = 1\n");
    let cases = [
        (66, "no-such-folder", "error: cannot read no-such-folder\nbecause: "),
        (66, "fixtures/README.md", "error: fixtures/README.md is not a folder\n"),
        (66, "fixtures/stream", "error: cannot read the record of provenance "),
        (
            65,
            unparsed.path().to_str().unwrap(),
            "provenance.toml is no record of provenance\nbecause: ",
        ),
    ];
    for (code, dir, begins) in cases {
        for command in ["list", "check"] {
            let output = run(&["fixtures", command, "--dir", dir]);
            let said = err(&output);
            assert_eq!((output.status.code(), out(&output)), (Some(code), ""), "{dir}");
            assert!(said.contains(begins), "{said}");
            assert!(said.lines().last().unwrap().starts_with("try: "), "{said}");
            assert!(!said.contains("backtrace") && !said.contains("panicked"), "{said}");
        }
    }
}

#[test]
fn a_command_line_that_makes_no_sense_exits_with_two() {
    for arguments in
        [&["fixtures"][..], &["fixtures", "mend"], &["fixtures", "check", "--fix"], &[]]
    {
        let output = run(arguments);
        assert_eq!((output.status.code(), out(&output)), (Some(2), ""), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn help_documents_every_exit_code() {
    let output = run(&["fixtures", "--help"]);
    let help = out(&output);
    for code in ["  0 ", "  1 ", "  2 ", "  65 ", "  66 ", "  74 "] {
        assert!(help.contains(code), "{code} is missing:\n{help}");
    }
}
