//! Official SDKs, unmodified, against the program: witnesses that the mock is what it says.
//!
//! They need foreign programs. Without them a test is skipped, counted and named with the reason; with
//! `REQUIRE_EXTERNAL=1` it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

fn main() {
    let arguments = Arguments::from_args();
    // The HTTP client wants one even for plain HTTP.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let required = std::env::var("REQUIRE_EXTERNAL").is_ok_and(|v| v == "1");
    let trials = SUBJECTS.map(|subject| subject.trial(required)).into();
    libtest_mimic::run(&arguments, trials).exit();
}

/// A bot on an official SDK.
#[derive(Clone, Copy)]
struct Subject {
    /// Its folder below `conformance/subjects`.
    folder: &'static str,
    /// What it shows.
    name: &'static str,
}

const SUBJECTS: [Subject; 2] = [
    Subject { folder: "python", name: "the_official_python_sdk_echoes_through_the_mock" },
    // DingTalk's hosts are built into this one, and not a line of it is changed.
    Subject { folder: "node", name: "the_official_node_sdk_echoes_through_the_proxy" },
];

impl Subject {
    fn trial(self, required: bool) -> Trial {
        match self.installed() {
            Ok(()) => Trial::test(self.name, move || self.echoes().map_err(Failed::from)),
            Err(reason) if required => Trial::test(self.name, move || {
                Err(Failed::from(format!("REQUIRE_EXTERNAL=1, but {reason}")))
            }),
            Err(reason) => {
                let name = format!("{} (skipped: {reason})", self.name);
                Trial::test(name, || Ok(())).with_ignored_flag(true)
            }
        }
    }

    /// The subject's start script.
    fn script(self) -> PathBuf {
        let subjects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/subjects");
        subjects.join(self.folder).join("run")
    }

    /// Whether the SDK is there, or could be installed.
    fn installed(self) -> Result<(), String> {
        let output = Command::new(self.script()).arg("--install").stdin(Stdio::null()).output();
        let output = output.map_err(|e| format!("the start script cannot be run: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let error = stderr.lines().find_map(|line| line.strip_prefix("error: "));
        Err(error.unwrap_or("the SDK cannot be installed").to_owned())
    }

    /// The whole way: `run` starts the bot, a person speaks over the control API, the robot's
    /// answer is read from `sent`, and the bot's exit status is passed on.
    fn echoes(self) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready.json");
        let log = dir.path().join("log.txt");
        let child = Command::new(env!("CARGO_BIN_EXE_mock-dingtalk"))
            .arg("run")
            .arg("--ready-file")
            .arg(&ready)
            .args(["--client-id", "dingmockwitness", "--"])
            .arg(self.script())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .map_err(|e| format!("the mock does not start: {e}"))?;
        let outcome = converse(&mut Running(child), &ready);
        outcome.map_err(|e| {
            format!("{e}\nstderr:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        })
    }
}

fn converse(running: &mut Running, ready: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = until("the ready file", || {
        let json: Value = serde_json::from_slice(&std::fs::read(ready).ok()?).ok()?;
        Some(json["url"].as_str()?.to_owned())
    })?;
    let app = format!("{url}/_mock/apps/dingmockwitness");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: &str| -> Value {
        let request = http.get(format!("{app}/{path}"));
        runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() })
    };
    let say = |body: Value| -> Value {
        let request = http.post(format!("{app}/messages")).json(&body);
        runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() })
    };
    until("the bot's connection", || {
        let rows = get("connections");
        let open = |row: &Value| row["state"] == "OPEN";
        rows.as_array().unwrap().iter().any(open).then_some(())
    })?;

    let direct = say(json!({ "from": "user0001", "text": "hello 你好 😀" }));
    let group = say(json!({
        "from": "user0002",
        "conversation": { "type": "2", "title": "Team" },
        "text": "hello all",
    }));
    for said in [&direct, &group] {
        equal("state of what was said", &said["state"], &json!("pushed"))?;
    }
    let sent = get("sent?count=2&wait_ms=20000");
    for (said, text) in [(&direct, "hello 你好 😀"), (&group, "hello all")] {
        let row =
            sent.as_array().unwrap().iter().find(|r| r["conversationId"] == said["conversationId"]);
        let row = row.ok_or_else(|| format!("no answer to {text:?} in {sent}"))?;
        // An SDK hands the group's leading blank on to its handler.
        equal("the echo", &json!(row["text"].as_str().unwrap_or_default().trim()), &json!(text))?;
        equal("the way", &row["via"], &json!("sessionWebhook"))?;
    }
    until("both acks", || {
        let rows = get("deliveries");
        let acked = |row: &&Value| row["state"] == "ACKED" && row["ack"]["code"] == 200;
        (rows.as_array().unwrap().iter().filter(acked).count() == 2).then_some(())
    })?;

    let id = running.0.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status().unwrap();
    let status = until("the end", || running.0.try_wait().unwrap())?;
    equal("the bot's exit status, passed on", &json!(status.code()), &json!(0))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A bot that outlived its mock would be left alone otherwise.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn equal(what: &str, is: &Value, should_be: &Value) -> Result<(), String> {
    if is == should_be { Ok(()) } else { Err(format!("{what} is {is}, not {should_be}")) }
}

/// Looks again and again: a foreign process gives no event to wait for.
#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if let Some(found) = look() {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("waited 30 s in vain for {what}"))
}
