//! One OpenClaw gateway with the plugin in it, a model, and the mock as DingTalk.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use mock_dingtalk::{App, MockDingtalk, SentRow, Speech};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::model::Model;

/// How long a gateway may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// Everything, in a folder of its own. Tests use one after the other, in the order of their names.
pub(crate) struct Lab {
    pub(crate) runtime: Runtime,
    pub(crate) app: App,
    pub(crate) model: Model,
    mock: MockDingtalk,
    dir: TempDir,
    path: String,
    gateway: Option<std::process::Child>,
}

impl Lab {
    /// `bins` are the folders of Node and OpenClaw. Nothing runs yet.
    pub(crate) fn new(bins: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let (model, model_url) = runtime.block_on(Model::start());
        let mock = runtime.block_on(MockDingtalk::start()).unwrap();
        let app = mock.app();
        let path = format!("{bins}:{}", std::env::var("PATH").unwrap_or_default());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lab = Self { runtime, app, model, mock, dir, path, gateway: None };
        let workspace = lab.workspace();
        std::fs::create_dir_all(&workspace).unwrap();
        let model = |id: &str| json!({ "id": id, "name": id, "input": ["text", "image"], "contextWindow": 64_000, "maxTokens": 2_000 });
        let config = json!({
            "gateway": { "mode": "local", "port": port, "bind": "loopback",
                         "auth": { "mode": "token", "token": "lab-token" } },
            "agents": { "defaults": { "model": { "primary": "fake/echo-1" }, "workspace": workspace } },
            "models": { "mode": "replace", "providers": { "fake": {
                "baseUrl": model_url, "apiKey": "none", "api": "openai-completions",
                "models": [model("echo-1"), model("echo-2")],
            } } },
            "session": { "dmScope": "per-channel-peer" },
        });
        std::fs::write(lab.state().join("openclaw.json"), config.to_string()).unwrap();
        lab
    }

    pub(crate) fn state(&self) -> &Path {
        self.dir.path()
    }

    /// Where the agent may read files.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    /// The plugin with the program that was built beside it, as a package carries it.
    pub(crate) fn plugin(&self) -> PathBuf {
        let target = self.dir.path().join("plugin");
        if !target.exists() {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("openclaw-plugin");
            copy(&source, &target);
            std::fs::create_dir_all(target.join("bin")).unwrap();
            std::fs::copy(env!("CARGO_BIN_EXE_ddingtalk"), target.join("bin/ddingtalk")).unwrap();
        }
        target
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.dir.path())
            .env("OPENCLAW_STATE_DIR", self.dir.path())
            .env("DINGTALK_OPENAPI_ENDPOINT", self.mock.url())
            .env("DINGTALK_OAPI_ENDPOINT", self.mock.url())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs `openclaw ARGUMENTS`, and gives its exit code and all that it wrote.
    pub(crate) fn openclaw(&self, arguments: &[&str]) -> (i32, String) {
        self.run("openclaw", arguments)
    }

    /// Runs another program in the same surroundings.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } =
            self.command(program).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
        (status.code().unwrap_or(-1), text.into_owned())
    }

    /// Starts the gateway, and waits until it is attached to the connector.
    pub(crate) fn start(&mut self) -> Duration {
        let begin = Instant::now();
        let log = std::fs::File::create(self.dir.path().join("gateway.txt")).unwrap();
        let mut command = self.command("openclaw");
        command.arg("gateway").stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        self.gateway = Some(command.spawn().unwrap());
        self.until("the gateway attaches", || self.robot()["attached"] == true);
        begin.elapsed()
    }

    /// Kills the gateway at once.
    pub(crate) fn kill(&mut self) {
        let Some(mut gateway) = self.gateway.take() else { return };
        // All of its group: the connector is in one of its own.
        let group = format!("-{}", gateway.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = gateway.wait();
        self.until("the agent is gone", || self.robot()["attached"] != true);
    }

    /// Kills the connector at once.
    pub(crate) fn kill_connector(&self) {
        let state = format!("--state-dir {}", self.dir.path().join("ddingtalk").display());
        let status = Command::new("pkill").args(["-KILL", "-f", "--", &state]).status().unwrap();
        assert!(status.success(), "no connector runs");
    }

    /// What the connector says of its only robot; null while it does not answer.
    pub(crate) fn robot(&self) -> Value {
        let socket = self.dir.path().join("ddingtalk/agent.sock");
        status(&socket).map_or(Value::Null, |status| status["robots"][0].clone())
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begin = Instant::now();
        while !holds() {
            let log = std::fs::read_to_string(self.dir.path().join("gateway.txt"));
            let log = log.unwrap_or_default();
            let end = log.ceil_char_boundary(log.len().saturating_sub(4_000));
            assert!(begin.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}\n{}", &log[end..]);
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
    }

    /// A person speaks, and gets so many messages.
    pub(crate) fn ask(&self, speech: &Speech, count: usize) -> Vec<SentRow> {
        let before = self.sent().len();
        self.runtime.block_on(self.app.speak(speech)).unwrap();
        self.wait(before, count)
    }

    /// The messages behind the first `before`, once there are so many that are finished.
    pub(crate) fn wait(&self, before: usize, count: usize) -> Vec<SentRow> {
        let finished = || self.sent().iter().skip(before).filter(|row| row.finished).count();
        self.until("an answer comes", || finished() >= count);
        self.sent().split_off(before)
    }

    pub(crate) fn sent(&self) -> Vec<SentRow> {
        self.app.sent().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill();
        let state = format!("--state-dir {}", self.dir.path().join("ddingtalk").display());
        let _ = Command::new("pkill").args(["-KILL", "-f", "--", &state]).status();
    }
}

/// `GET /v1/status` on the agent link.
fn status(socket: &Path) -> Option<Value> {
    use std::io::{Read as _, Write as _};

    let mut stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream
        .write_all(b"GET /v1/status HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body.trim()).ok()
}

fn copy(source: &Path, target: &Path) {
    std::fs::create_dir_all(target).unwrap();
    for entry in std::fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let to = target.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
