//! The record of provenance and the fixtures agree, and each way to disagree is noticed.

use std::fs;
use std::path::{Path, PathBuf};

use dingtalk_conformance::fixtures::{FixtureDir, FixturesError};
use dingtalk_conformance::provenance::{Origin, Provenance, ProvenanceError, Violation, check};

fn real_folder() -> FixtureDir {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    FixtureDir::open(path).expect("the workspace has fixtures")
}

#[test]
fn every_real_fixture_has_its_provenance_and_is_well_formed() {
    let report = check(&real_folder()).unwrap();
    println!("{} files, {} entries, {:?}", report.files, report.entries, report.origins);
    for violation in &report.violations {
        println!("{violation}");
    }
    assert_eq!(report.violations, []);
    assert!(report.files > 0, "the folder is empty");
    assert_eq!(report.files, report.entries);
    for origin in Origin::KNOWN {
        assert!(report.origins.get(&origin).is_some_and(|count| *count > 0), "no {origin} fixture");
    }
}

/// A small sound folder; each case below spoils one thing in it.
struct Folder(tempfile::TempDir);

const ENTRIES: &str = r#"
[[file]]
path = "stream/ping.json"
origin = "documented"
source = "a page"

[[file]]
path = "openapi/token.response.json"
origin = "observed"
source = "an issue"
status = 200
note = "why"

[[file]]
path = "hostile/truncated.txt"
origin = "derived"
source = "own"
"#;

impl Folder {
    fn sound() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        folder.write("README.md", "about");
        folder.write("provenance.toml", ENTRIES);
        folder.write("stream/ping.json", r#"{"type":"SYSTEM","data":"{\"opaque\":\"1\"}"}"#);
        folder.write("openapi/token.response.json", r#"{"accessToken":"dingmock"}"#);
        folder.write("hostile/truncated.txt", r#"{"type":"#);
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        let parent = path.parent().expect("the file lies in the temporary folder");
        fs::create_dir_all(parent).expect("the temporary folder is writable");
        fs::write(path, content).expect("the temporary folder is writable");
    }

    fn record(&self, from: &str, to: &str) {
        assert!(ENTRIES.contains(from), "the case replaces nothing: {from}");
        self.write("provenance.toml", &ENTRIES.replace(from, to));
    }

    fn open(&self) -> FixtureDir {
        FixtureDir::open(self.0.path()).expect("the temporary folder is there")
    }

    /// Kinds and paths of what the check finds, as the JSON answer names them.
    fn violations(&self) -> Vec<(String, String)> {
        let found = check(&self.open()).expect("every file can be read").violations;
        found.iter().map(|violation| (kind(violation), violation.path().to_owned())).collect()
    }
}

fn kind(violation: &Violation) -> String {
    let value = serde_json::to_value(violation).expect("a violation is plain data");
    value["kind"].as_str().expect("the kind is a word").to_owned()
}

#[test]
fn a_sound_folder_has_no_violations() {
    let report = check(&Folder::sound().open()).unwrap();
    assert_eq!(report.violations, []);
    assert_eq!((report.files, report.entries), (3, 3));
    assert_eq!(report.origins[&Origin::Observed], 1);
}

#[test]
fn each_kind_of_violation_is_caught_alone_and_at_its_path() {
    type Spoil = fn(&Folder);
    let cases: &[(&str, &str, Spoil)] = &[
        ("file-without-entry", "stream/new.txt", |f| {
            f.write("stream/new.txt", "x");
        }),
        ("file-without-entry", ".swp", |f| f.write(".swp", "x")),
        ("file-without-entry", "stream/README.md", |f| {
            f.write("stream/README.md", "x");
        }),
        ("entry-without-file", "stream/ping.json", |f| {
            fs::remove_file(f.path("stream/ping.json")).unwrap();
        }),
        ("duplicate-entry", "stream/ping.json", |f| {
            f.record(
                "[[file]]\npath = \"hostile",
                "[[file]]\npath = \"stream/ping.json\"\norigin = \"sdk\"\nsource = \"x\"\n\n\
                 [[file]]\npath = \"hostile",
            );
        }),
        ("unknown-origin", "stream/ping.json", |f| {
            f.record("\"documented\"", "\"hearsay\"");
        }),
        ("unknown-origin", "stream/ping.json", |f| {
            f.record("\"documented\"", "\"Documented\"");
        }),
        ("empty-source", "stream/ping.json", |f| {
            f.record("\"a page\"", "\"\"");
        }),
        ("empty-source", "stream/ping.json", |f| {
            f.record("\"a page\"", "\" \\t\"");
        }),
        ("bad-status", "openapi/token.response.json", |f| {
            f.record("200", "99");
        }),
        ("bad-status", "openapi/token.response.json", |f| {
            f.record("200", "600");
        }),
        ("bad-status", "stream/ping.json", |f| {
            f.record("source = \"a page\"", "source = \"a page\"\nstatus = 200");
        }),
        ("not-json", "openapi/token.response.json", |f| {
            f.write("openapi/token.response.json", "{");
        }),
        ("not-json", "openapi/token.response.json", |f| {
            f.write("openapi/token.response.json", "");
        }),
        ("not-json", "stream/ping.json", |f| {
            f.write("stream/ping.json", "{} {}");
        }),
        ("not-a-frame", "stream/ping.json", |f| {
            f.write("stream/ping.json", "{}");
        }),
        ("not-a-frame", "stream/ping.json", |f| {
            f.write("stream/ping.json", r#"{"type":"SYSTEM"}"#);
        }),
        ("embedded-not-json", "stream/ping.json", |f| {
            f.write("stream/ping.json", r#"{"type":"SYSTEM","data":"{"}"#);
        }),
        ("embedded-not-json", "stream/ping.json", |f| {
            f.write("stream/ping.json", r#"{"type":"SYSTEM","data":""}"#);
        }),
        ("embedded-not-json", "stream/ping.json", |f| {
            f.write("stream/ping.json", r#"{"type":"SYSTEM","data":{"opaque":"1"}}"#);
        }),
        ("embedded-not-json", "stream/ping.json", |f| {
            f.write("stream/ping.json", r#"{"code":200,"data":"{"}"#);
        }),
        ("embedded-not-json", "openapi/token.response.json", |f| {
            f.write("openapi/token.response.json", r#"{"msgParam":{"content":"x"}}"#);
        }),
    ];
    for (index, (kind, path, spoil)) in cases.iter().enumerate() {
        let folder = Folder::sound();
        spoil(&folder);
        let expected = [((*kind).to_owned(), (*path).to_owned())];
        assert_eq!(folder.violations(), expected, "case {index}");
    }
}

#[test]
fn answers_may_leave_their_data_out_or_empty() {
    for answer in [r#"{"code":200}"#, r#"{"code":200,"data":""}"#, r#"{"code":200,"data":"{}"}"#] {
        let folder = Folder::sound();
        folder.write("stream/ping.json", answer);
        assert_eq!(folder.violations(), [], "{answer}");
    }
}

#[test]
fn hostile_files_may_hold_anything() {
    let folder = Folder::sound();
    let record = format!(
        "{ENTRIES}\n[[file]]\npath = \"hostile/x.json\"\norigin = \"derived\"\nsource = \"own\"\n"
    );
    folder.write("provenance.toml", &record);
    folder.write("hostile/x.json", "{\"data\":");
    assert_eq!(folder.violations(), []);
}

#[test]
fn every_violation_is_reported_at_once_and_ordered_by_path() {
    let folder = Folder::sound();
    folder.record("\"documented\"", "\"hearsay\"");
    folder.write("stream/ping.json", "{");
    folder.write("a.txt", "x");
    let kinds: Vec<_> = folder.violations().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["file-without-entry", "unknown-origin", "not-json"]);
}

#[test]
fn a_record_that_is_no_record_is_refused_with_the_line() {
    for (from, to, named) in [
        ("origin = \"documented\"\n", "", "origin"),
        ("source = \"a page\"\n", "", "source"),
        ("note = ", "remark = ", "remark"),
        ("status = 200", "status = \"ok\"", "status"),
        ("[[file]]", "[[files]]", "files"),
    ] {
        let folder = Folder::sound();
        folder.record(from, to);
        let error = check(&folder.open()).unwrap_err();
        let ProvenanceError::Parse { source, .. } = error else {
            panic!("not a parse error: {error}");
        };
        let text = source.to_string();
        assert!(text.contains(named) && text.contains("line "), "{to:?}: {text}");
    }
}

#[test]
fn an_empty_record_is_read_and_leaves_every_file_without_an_entry() {
    let folder = Folder::sound();
    folder.write("provenance.toml", "");
    let kinds: Vec<_> = folder.violations().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["file-without-entry"; 3]);
}

#[test]
fn what_is_missing_is_named_by_its_path() {
    let folder = Folder::sound();
    let error = FixtureDir::open(folder.path("nowhere")).unwrap_err();
    assert!(matches!(&error, FixturesError::Read { path, .. } if path.ends_with("nowhere")));
    let error = FixtureDir::open(folder.path("README.md")).unwrap_err();
    assert!(matches!(error, FixturesError::NotAFolder { .. }));
    let error = folder.open().get("stream/pong").unwrap_err();
    assert!(error.to_string().contains("stream/pong"), "{error}");
    fs::remove_file(folder.path("provenance.toml")).unwrap();
    assert!(matches!(check(&folder.open()), Err(ProvenanceError::Read { .. })));
    assert!(matches!(
        Provenance::load(&folder.path("provenance.toml")),
        Err(ProvenanceError::Read { .. })
    ));
}
