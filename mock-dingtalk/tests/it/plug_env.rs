//! How to plug in, as it is printed; and the files that it names.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    process::{Served, program, run},
    support::http,
};

const APP: &str = "dingmockplug";

async fn served() -> Served {
    let served = Served::start(&[]);
    let app = json!({"clientId": APP, "clientSecret": "it's $HOME"});
    let minted = http().post(format!("{}/_mock/apps", served.url())).json(&app).send();
    assert_eq!(minted.await.unwrap().status(), 201);
    served
}

fn env(served: &Served, sdk: &str, format: &str) -> String {
    let output =
        run(&["env", "--url", served.url(), "--client-id", APP, "--sdk", sdk, "--format", format]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn files(served: &Served) -> (PathBuf, PathBuf) {
    let object: Value = serde_json::from_str(&env(served, "all", "json")).unwrap();
    let path = |name: &str| PathBuf::from(object[name].as_str().unwrap());
    (path("NODE_EXTRA_CA_CERTS"), path("REQUESTS_CA_BUNDLE"))
}

#[tokio::test]
async fn each_sdk_is_told_in_each_format_what_it_needs() {
    let served = served().await;
    let folder = files(&served).0.parent().unwrap().display().to_string();
    let port = served.url().rsplit_once(':').unwrap().1.to_owned();
    for sdk in ["python", "node", "go", "java", "connector", "all"] {
        let told = ["shell", "dotenv", "json", "compose"]
            .map(|format| format!("==== {format}\n{}", env(&served, sdk, format)))
            .concat();
        let told = told.replace(&folder, "/FOLDER").replace(&port, "PORT");
        insta::assert_snapshot!(format!("env_{sdk}"), told);
    }
}

#[tokio::test]
async fn what_a_shell_evaluates_is_what_json_says() {
    let served = served().await;
    for sdk in ["python", "node", "go", "java", "connector", "all"] {
        let object: Value = serde_json::from_str(&env(&served, sdk, "json")).unwrap();
        for (name, value) in object.as_object().unwrap() {
            let script = format!("{}\nprintf %s \"${name}\"", env(&served, sdk, "shell"));
            let printed = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
            assert_eq!(String::from_utf8(printed).unwrap(), value.as_str().unwrap(), "{name}");
        }
    }
}

/// What a file or folder may be used for, and by whom.
fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_certificates_are_written_for_nobody_else_and_they_go_with_the_mock() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let mut served = served().await;
        let (ca, bundle) = files(&served);
        assert_eq!(files(&served), (ca.clone(), bundle.clone()), "they are written once");
        let folder = ca.parent().unwrap().to_owned();
        assert_eq!(bundle.parent(), Some(&*folder));
        assert_eq!((mode(&folder), mode(&ca), mode(&bundle)), (0o700, 0o600, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);

        let own = http().get(format!("{}/_mock/ca.pem", served.url())).send().await.unwrap();
        let own = own.text().await.unwrap();
        assert_eq!(std::fs::read_to_string(&ca).unwrap(), own);
        assert_eq!(own.matches("BEGIN ").count(), 1);
        assert!(own.contains("BEGIN CERTIFICATE"));
        let all = std::fs::read_to_string(&bundle).unwrap();
        assert!(all.starts_with(&own));
        assert!(!all.contains("PRIVATE KEY"));

        served.signal(signal);
        assert_eq!(served.child.wait().unwrap().code(), Some(0));
        assert!(!folder.exists(), "{signal}: the folder stayed behind");
    }
}

#[tokio::test]
async fn the_bundle_keeps_the_roots_that_were_chosen_before() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    let text = "-----BEGIN CERTIFICATE-----\nmine\n-----END CERTIFICATE-----\n";
    std::fs::write(&roots, text).unwrap();
    let output = program()
        .env("REQUESTS_CA_BUNDLE", &roots)
        .args(["run", "--", "sh", "-c", "cat \"$REQUESTS_CA_BUNDLE\""])
        .output()
        .unwrap();
    let bundle = String::from_utf8(output.stdout).unwrap();
    assert!(bundle.ends_with(text), "{bundle}");
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
}

#[test]
fn run_sets_everything_and_removes_the_files_when_its_command_ends() {
    let script = "cat \"$NODE_EXTRA_CA_CERTS\" >&2; dirname \"$NODE_EXTRA_CA_CERTS\"; \
                  echo \"$HTTPS_PROXY $https_proxy $MOCK_DINGTALK_URL\"; \
                  echo \"$NO_PROXY $no_proxy\"; exit 3";
    let output = run(&["run", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("BEGIN CERTIFICATE"));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(!Path::new(lines[0]).exists(), "{} stayed behind", lines[0]);
    let urls: Vec<&str> = lines[1].split(' ').collect();
    assert!(urls[0].starts_with("http://127.0.0.1:"), "{urls:?}");
    assert_eq!((urls[0], urls[1]), (urls[1], urls[2]));
    assert_eq!(lines[2], "127.0.0.1,localhost 127.0.0.1,localhost");
}

#[test]
fn a_certificate_that_cannot_be_written_is_one_sentence_and_an_exit_code() {
    let output = program()
        .env("TMPDIR", "/nonexistent/folder")
        .args(["run", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(73));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot write the certificate"), "{error}");
}
