//! The program: what it prints, how it ends.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{eventually, http};

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-dingtalk"));
    command.env_remove("MOCK_DINGTALK_ADMIN_TOKEN").env_remove("MOCK_DINGTALK_URL");
    command.env_remove("DINGTALK_CLIENT_ID").stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// A `serve` that ends with the test, if not before.
pub(crate) struct Served {
    pub(crate) child: Child,
    ready: Value,
}

impl Served {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = program()
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        Self { child, ready }
    }

    pub(crate) fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // In order, so that no temporary folder stays behind.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("-TERM");
            let _ = self.child.wait();
        }
    }
}

#[tokio::test]
async fn serve_prints_one_line_writes_the_file_and_ends_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let file = folder.path().join("ready.json");
        let mut served = Served::start(&["--ready-file", file.to_str().unwrap()]);
        assert_eq!(served.ready["pid"], served.child.id());
        assert_eq!(served.ready["wsUrl"], served.url().replace("http", "ws") + "/connect");
        assert_eq!(served.ready.get("adminToken"), None);
        let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(written, served.ready);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for path in ["live", "ready"] {
            let url = format!("{}/_mock/{path}", served.url());
            assert_eq!(http().get(url).send().await.unwrap().status(), 200);
        }
        served.signal(signal);
        assert_eq!(served.child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        served.child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "nothing but the ready line is on stdout");
        assert!(!file.exists(), "the ready file goes with the mock");
    }
}

#[test]
fn a_port_that_is_taken_is_one_sentence_and_no_backtrace() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(69));
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with(&format!("mock-dingtalk: cannot listen on {address}: ")), "{error}");
    assert!(error.contains("--listen"), "it says what to try: {error}");
}

#[test]
fn what_cannot_be_done_has_its_own_exit_code() {
    let ready = ["serve", "--ready-file", "/nonexistent/folder/ready.json"];
    let cases: [(&[&str], i32, &str); 8] = [
        (&ready, 73, "cannot write the ready file"),
        (&["serve", "--public-url", "ftp://x"], 2, "no public URL"),
        (&["serve", "--listen", "nonsense"], 2, "invalid value"),
        (&["run", "--", "/nonexistent/command"], 127, "there is no command"),
        (&["run", "--", "/"], 126, "cannot start"),
        (&["run", "--client-id", "a/b", "--", "true"], 2, "clientId"),
        (&["env", "--url", "http://127.0.0.1:1", "--client-id", "x"], 69, "no mock answers"),
        (&["env", "--url", "https://127.0.0.1:1", "--client-id", "x"], 2, "no mock's URL"),
    ];
    for (arguments, code, words) in cases {
        let output = run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn run_exits_as_its_command_does() {
    let cases: [(&[&str], i32); 5] = [
        (&["true"], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -TERM $$"], 128 + 15),
        (&["sh", "-c", "kill -KILL $$"], 128 + 9),
    ];
    for (command, code) in cases {
        let output = run(&[&["run", "--"], command].concat());
        assert_eq!(output.status.code(), Some(code), "{command:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn run_gives_its_command_the_variables_and_leaves_stdout_alone() {
    let names = [
        "DINGTALK_CLIENT_ID",
        "DINGTALK_CLIENT_SECRET",
        "DINGTALK_OPENAPI_ENDPOINT",
        "DINGTALK_OAPI_ENDPOINT",
        "NO_PROXY",
        "MOCK_DINGTALK_URL",
    ];
    let script = names.map(|name| format!("echo \"{name}=${name}\"")).join("; ");
    let output = run(&["run", "--client-id", "dingmockmine", "--", "sh", "-c", &script]);
    let text = String::from_utf8(output.stdout).unwrap();
    let values: std::collections::BTreeMap<&str, &str> =
        text.lines().map(|line| line.split_once('=').unwrap()).collect();
    assert_eq!(values.len(), names.len(), "{text}");
    assert_eq!(values["DINGTALK_CLIENT_ID"], "dingmockmine");
    assert!(values["DINGTALK_CLIENT_SECRET"].starts_with("dingmock"));
    let url = values["MOCK_DINGTALK_URL"];
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(values["DINGTALK_OPENAPI_ENDPOINT"], url);
    assert_eq!(values["DINGTALK_OAPI_ENDPOINT"], url);
    assert!(values["NO_PROXY"].contains("127.0.0.1"));
}

#[tokio::test]
async fn run_passes_signals_on_and_lets_the_command_decide() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let up = folder.path().join("up");
    let script =
        format!("trap 'exit 42' TERM; touch '{}'; while :; do sleep 0.05; done", up.display());
    let mut child = program()
        .args(["run", "--ready-file", ready.to_str().unwrap(), "--", "sh", "-c", &script])
        .spawn()
        .unwrap();
    eventually("the command's trap", async || if up.exists() { Ok(()) } else { Err("not up") })
        .await;
    assert!(ready.exists());
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let code = eventually("the end of run", async || match child.try_wait().unwrap() {
        Some(status) => Ok(status.code()),
        None => Err("still running"),
    })
    .await;
    assert_eq!(code, Some(42));
    assert!(!ready.exists());
}

#[tokio::test]
async fn env_prints_what_a_shell_can_evaluate() {
    let served = Served::start(&["--seed", "1"]);
    let app: Value = http()
        .post(format!("{}/_mock/apps", served.url()))
        .json(&json!({"clientSecret": "it's $HOME"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let id = app["clientId"].as_str().unwrap();
    let env = |format: &str, sdk: &str| {
        run(&["env", "--url", served.url(), "--client-id", id, "--format", format, "--sdk", sdk])
    };
    let shell = String::from_utf8(env("shell", "connector").stdout).unwrap();
    let script = format!("{shell}\necho \"$DINGTALK_CLIENT_SECRET $DINGTALK_OPENAPI_ENDPOINT\"");
    let evaluated = Command::new("sh").args(["-c", &script]).output().unwrap();
    let expected = format!("it's $HOME {}\n", served.url());
    assert_eq!(String::from_utf8(evaluated.stdout).unwrap(), expected);
    let object: Value = serde_json::from_slice(&env("json", "all").stdout).unwrap();
    assert_eq!(object["DINGTALK_CLIENT_ID"], id);
    let dotenv = String::from_utf8(env("dotenv", "python").stdout).unwrap();
    assert!(dotenv.contains("DINGTALK_CLIENT_SECRET=\"it's \\$HOME\"\n"), "{dotenv}");
    assert!(!dotenv.contains("DINGTALK_OAPI_ENDPOINT"), "the Python SDK does not read it");
    let rust = env("shell", "rust");
    assert_eq!(rust.status.code(), Some(1));
    let error = String::from_utf8(rust.stderr).unwrap();
    assert!(error.contains("python, node, go, java, connector, all"), "{error}");
    let toml = String::from_utf8(env("toml", "all").stderr).unwrap();
    assert!(toml.contains("shell, dotenv, json, compose"), "{toml}");
}

#[tokio::test]
async fn off_loopback_the_control_api_wants_its_token() {
    let served = Served::start(&["--listen", "0.0.0.0:0"]);
    assert!(served.url().starts_with("http://127.0.0.1:"), "{}", served.url());
    let token = served.ready["adminToken"].as_str().unwrap();
    let url = format!("{}/_mock/apps", served.url());
    assert_eq!(http().get(&url).send().await.unwrap().status(), 401);
    assert_eq!(http().get(&url).bearer_auth("wrong").send().await.unwrap().status(), 401);
    assert_eq!(http().get(&url).bearer_auth(token).send().await.unwrap().status(), 200);
    let live = http().get(format!("{}/_mock/live", served.url())).timeout(Duration::from_secs(5));
    assert_eq!(live.send().await.unwrap().status(), 200);
    let chosen = Served::start(&["--listen", "0.0.0.0:0", "--admin-token", "mine"]);
    assert_eq!(chosen.ready["adminToken"], "mine");
}
