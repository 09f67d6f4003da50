//! Official SDKs, unmodified, against the program: witnesses that the mock is what it says.
//!
//! They need foreign programs. Without them a test is skipped, counted and named with the reason; with
//! `REQUIRE_EXTERNAL=1` it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

fn main() {
    let arguments = Arguments::from_args();
    // The HTTP client wants one even for plain HTTP.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let required = std::env::var("REQUIRE_EXTERNAL").is_ok_and(|v| v == "1");
    let trials = SUBJECTS
        .iter()
        .flat_map(|subject| {
            let there = subject.installed();
            ACTS.map(|act| subject.trial(act, there.clone(), required))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// A bot on an official SDK.
#[derive(Clone, Copy)]
struct Subject {
    /// Its folder below `conformance/subjects`.
    folder: &'static str,
    /// What the names of its trials start with.
    name: &'static str,
}

const SUBJECTS: [Subject; 2] = [
    Subject { folder: "python", name: "the_official_python_sdk" },
    // DingTalk's hosts are built into this one, and not a line of it is changed.
    Subject { folder: "node", name: "the_official_node_sdk" },
];

/// What a trial shows.
#[derive(Clone, Copy)]
struct Act {
    name: &'static str,
    /// What the bot's start script is given.
    bot: Option<&'static str>,
    play: fn(&Stage) -> Result<(), String>,
}

const WITNESS: Option<&str> = Some("--witness");
const ACTS: [Act; 8] = [
    Act { name: "echoes", bot: None, play: echoes },
    Act { name: "gets_the_token", bot: WITNESS, play: gets_the_token },
    Act { name: "writes_a_card", bot: WITNESS, play: writes_a_card },
    Act { name: "answers_a_card_button", bot: WITNESS, play: answers_a_card_button },
    Act { name: "downloads_a_picture", bot: WITNESS, play: downloads_a_picture },
    Act { name: "uploads_a_picture", bot: WITNESS, play: uploads_a_picture },
    Act { name: "answers_pings", bot: WITNESS, play: answers_pings },
    Act { name: "comes_back_after_disconnect", bot: WITNESS, play: comes_back_after_disconnect },
];

impl Subject {
    fn trial(self, act: Act, there: Result<(), String>, required: bool) -> Trial {
        let name = format!("{}_{}", self.name, act.name);
        match there {
            Ok(()) => Trial::test(name, move || Stage::play(self, act).map_err(Failed::from)),
            Err(reason) if required => Trial::test(name, move || {
                Err(Failed::from(format!("REQUIRE_EXTERNAL=1, but {reason}")))
            }),
            Err(reason) => Trial::test(format!("{name} (skipped: {reason})"), || Ok(()))
                .with_ignored_flag(true),
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
}

// ---- the acts -----------------------------------------------------------------------------------

/// A person speaks over the control API, and the robot's answer is read from `sent`.
fn echoes(stage: &Stage) -> Result<(), String> {
    let direct = stage.say(&json!({ "from": "user0001", "text": "hello 你好 😀" }));
    let group = stage.say(&json!({
        "from": "user0002",
        "conversation": { "type": "2", "title": "Team" },
        "text": "hello all",
    }));
    for said in [&direct, &group] {
        equal("state of what was said", &said["state"], &json!("pushed"))?;
    }
    let sent = stage.get("sent?count=2&wait_ms=20000");
    for (said, text) in [(&direct, "hello 你好 😀"), (&group, "hello all")] {
        let row =
            sent.as_array().unwrap().iter().find(|r| r["conversationId"] == said["conversationId"]);
        let row = row.ok_or_else(|| format!("no answer to {text:?} in {sent}"))?;
        // An SDK hands the group's leading blank on to its handler.
        equal("the echo", &json!(row["text"].as_str().unwrap_or_default().trim()), &json!(text))?;
        equal("the way", &row["via"], &json!("sessionWebhook"))?;
    }
    until("both acks", || {
        let rows = stage.get("deliveries");
        let acked = |row: &&Value| row["state"] == "ACKED" && row["ack"]["code"] == 200;
        (rows.as_array().unwrap().iter().filter(acked).count() == 2).then_some(())
    })
}

/// The token that the robot tells is the one that the app has.
fn gets_the_token(stage: &Stage) -> Result<(), String> {
    let told = stage.ask("/token")?;
    let app = stage.get("");
    let asked = json!({ "appKey": app["clientId"], "appSecret": app["clientSecret"] });
    let url = format!("{}/v1.0/oauth2/accessToken", stage.url);
    equal("the token", &told, &stage.post(&url, &asked)["accessToken"])
}

/// An AI card, created, streamed word by word, and finished.
fn writes_a_card(stage: &Stage) -> Result<(), String> {
    let said = stage.say(&json!({ "from": "user0001", "text": "/card one two three" }));
    let rows = stage.get("sent?count=1&wait_ms=20000");
    let row = &rows[0];
    equal("the sort", &row["msgtype"], &json!("card"))?;
    equal("what it shows", &row["text"], &json!("one two three"))?;
    equal("finished", &row["finished"], &json!(true))?;
    equal("the chat", &row["conversationId"], &said["conversationId"])?;
    let streamed = stage.journal_of("PUT /v1.0/card/streaming")?;
    equal("the calls that streamed", &json!(streamed.len()), &json!(3))?;
    stage.acked()
}

/// A press on a button of the robot's card, answered over the stream with what the card shall show.
fn answers_a_card_button(stage: &Stage) -> Result<(), String> {
    stage.say(&json!({ "from": "user0001", "text": "/card yes or no" }));
    let card = stage.get("sent?count=1&wait_ms=20000")[0]["raw"]["outTrackId"].clone();
    stage.acked()?;
    let press = json!({ "outTrackId": card, "userId": "user0001", "actionIds": ["agree"] });
    let said = stage.post(&stage.path("card-actions"), &press);
    equal("state of what was pressed", &said["state"], &json!("pushed"))?;
    let rows = stage.get("deliveries?after=1&count=1&wait_ms=20000");
    let ack = &rows[0]["ack"];
    equal("the code", &ack["code"], &json!(200))?;
    let data: Value = serde_json::from_str(ack["data"].as_str().unwrap_or_default())
        .map_err(|e| format!("{e} in {ack}"))?;
    let shown = json!({ "response": { "cardData": { "cardParamMap": { "pressed": "agree" } } } });
    equal("the answer", &data, &shown)?;
    let card = &stage.get("sent")[0]["raw"];
    if card.to_string().contains(r#""pressed":"agree""#) {
        return Ok(());
    }
    Err(format!("the card does not show the answer: {card}"))
}

/// A `downloadCode` is exchanged for an address, and that for the bytes.
fn downloads_a_picture(stage: &Stage) -> Result<(), String> {
    let bytes = BASE64_STANDARD.decode(PIXEL).unwrap();
    stage.say(&json!({
        "from": "user0001",
        "msgtype": "picture",
        "media": { "base64": PIXEL, "name": "pixel.png" },
    }));
    let sent = stage.get("sent?count=1&wait_ms=20000");
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let hex = digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    equal("size and hash", &sent[0]["text"], &json!(format!("{} {hex}", bytes.len())))?;
    stage.acked()
}

/// The old host is built into both SDKs: this goes through the proxy, inside TLS.
fn uploads_a_picture(stage: &Stage) -> Result<(), String> {
    let media = stage.ask("/upload")?;
    let id = media.as_str().filter(|id| id.starts_with('@'));
    let id = id.ok_or_else(|| format!("{media} is no media id"))?;
    let stored = stage.bytes(&stage.path(&format!("media/{id}")));
    if stored == BASE64_STANDARD.decode(PIXEL).unwrap() {
        Ok(())
    } else {
        Err(format!("{id} has {} other bytes", stored.len()))
    }
}

/// SYSTEM `ping`, which comes after 30 s of the mock's time.
fn answers_pings(stage: &Stage) -> Result<(), String> {
    equal("a pong before", &stage.get("connections")[0]["lastPongAt"], &Value::Null)?;
    stage.advance("31s");
    until("a pong", || stage.get("connections")[0]["lastPongAt"].as_i64())?;
    equal("strays", &stage.get("connections")[0]["strays"], &json!(0))
}

/// SYSTEM `disconnect`: Python goes by itself, Node waits until TCP ends after 10 s.
fn comes_back_after_disconnect(stage: &Stage) -> Result<(), String> {
    let first = stage.get("connections")[0]["connectionId"].clone();
    stage.post(&stage.path("connections/all/disconnect"), &json!({}));
    stage.advance("11s");
    until("the next connection", || {
        let rows = stage.get("connections");
        let next = |row: &Value| row["state"] == "OPEN" && row["connectionId"] != first;
        rows.as_array().unwrap().iter().any(next).then_some(())
    })?;
    equal("the answer", &stage.ask("still there?")?, &json!("still there?"))?;
    stage.acked()
}

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9\
                     awAAAABJRU5ErkJggg==";

// ---- the stage ----------------------------------------------------------------------------------

/// A mock, an app, and a bot that is connected.
struct Stage {
    runtime: Runtime,
    http: reqwest::Client,
    url: String,
}

impl Stage {
    /// `run` starts the bot, the act is played, and the bot's exit status is passed on.
    fn play(subject: Subject, act: Act) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready.json");
        let log = dir.path().join("log.txt");
        let child = Command::new(env!("CARGO_BIN_EXE_mock-dingtalk"))
            .arg("run")
            .arg("--ready-file")
            .arg(&ready)
            .args(["--client-id", "dingmockwitness", "--"])
            .arg(subject.script())
            .args(act.bot)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .map_err(|e| format!("the mock does not start: {e}"))?;
        let mut running = Running(child);
        let outcome = Self::open(&ready)
            .and_then(|stage| (act.play)(&stage))
            .and_then(|()| running.ends_well());
        outcome.map_err(|e| {
            format!("{e}\nstderr:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        })
    }

    fn open(ready: &Path) -> Result<Self, String> {
        let url = until("the ready file", || {
            let json: Value = serde_json::from_slice(&std::fs::read(ready).ok()?).ok()?;
            Some(json["url"].as_str()?.to_owned())
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let stage = Self { runtime, http, url };
        until("the bot's connection", || {
            let rows = stage.get("connections");
            let open = |row: &Value| row["state"] == "OPEN";
            rows.as_array().unwrap().iter().any(open).then_some(())
        })?;
        Ok(stage)
    }

    fn path(&self, path: &str) -> String {
        format!("{}/_mock/apps/dingmockwitness/{path}", self.url).trim_end_matches('/').to_owned()
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.bytes(&self.path(path))).unwrap()
    }

    fn bytes(&self, url: &str) -> Vec<u8> {
        let request = self.http.get(url);
        self.runtime.block_on(async { request.send().await.unwrap().bytes().await.unwrap() }).into()
    }

    fn post(&self, url: &str, body: &Value) -> Value {
        let request = self.http.post(url).json(body);
        self.runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() })
    }

    fn say(&self, body: &Value) -> Value {
        self.post(&self.path("messages"), body)
    }

    /// Says something, and returns the text of the robot's first answer.
    fn ask(&self, text: &str) -> Result<Value, String> {
        let said = self.say(&json!({ "from": "user0001", "text": text }));
        equal("state of what was said", &said["state"], &json!("pushed"))?;
        let sent = self.get("sent?count=1&wait_ms=20000");
        sent.get(0)
            .map_or_else(|| Err(format!("no answer to {text}")), |row| Ok(row["text"].clone()))
    }

    fn advance(&self, by: &str) {
        self.post(&format!("{}/_mock/clock", self.url), &json!({ "advance": by }));
    }

    /// Calls of the bot that were answered with 200.
    fn journal_of(&self, call: &str) -> Result<Vec<Value>, String> {
        let url = format!("{}/_mock/journal?app=dingmockwitness&limit=10000", self.url);
        let entries: Vec<Value> = serde_json::from_slice(&self.bytes(&url)).unwrap();
        let calls = entries.into_iter().filter(|entry| entry["text"] == call);
        calls
            .map(|entry| equal("a call's status", &entry["status"], &json!(200)).map(|()| entry))
            .collect()
    }

    /// All that was pushed is answered in the end, with 200, and each once.
    fn acked(&self) -> Result<(), String> {
        until("the acks", || {
            let rows = self.get("deliveries");
            let good = |row: &Value| row["acks"] == 1 && row["ack"]["code"] == 200;
            rows.as_array().unwrap().iter().all(good).then_some(())
        })
    }
}

struct Running(Child);

impl Running {
    fn ends_well(&mut self) -> Result<(), String> {
        let id = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        let status = until("the end", || self.0.try_wait().unwrap())?;
        equal("the bot's exit status, passed on", &json!(status.code()), &json!(0))
    }
}

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
