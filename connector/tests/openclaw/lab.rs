//! One OpenClaw gateway with the plugin in it, a model, and the mock as DingTalk.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use mock_dingtalk::{App, MockDingtalk, SentRow, Speech};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::model::Model;

/// How long a gateway may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The gateway's.
pub(crate) const TOKEN: &str = "lab-token";
const PROGRAM: &str = env!("CARGO_BIN_EXE_ddingtalk");

/// Everything, in a folder of its own. Tests use one after the other, in the order of their names.
pub(crate) struct Lab {
    pub(crate) runtime: Runtime,
    pub(crate) app: App,
    pub(crate) model: Model,
    /// Where the gateway listens.
    pub(crate) port: u16,
    pub(crate) mock: MockDingtalk,
    /// How long each start of the gateway took, until it was attached.
    pub(crate) starts: Vec<Duration>,
    /// Whether `user0001` may talk to the robot.
    pub(crate) approved: bool,
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
        // Whatever is built meanwhile.
        let ours = dir.path().join("bin");
        std::fs::create_dir_all(&ours).unwrap();
        std::fs::copy(PROGRAM, ours.join("ddingtalk")).unwrap();
        let others = std::env::var("PATH").unwrap_or_default();
        let path = format!("{bins}:{}:{others}", ours.display());
        let port = free_port();
        let lab = Self {
            runtime,
            app,
            model,
            port,
            mock,
            starts: Vec::new(),
            approved: false,
            dir,
            path,
            gateway: None,
        };
        let workspace = lab.workspace();
        std::fs::create_dir_all(&workspace).unwrap();
        let model = |id: &str| json!({ "id": id, "name": id, "input": ["text", "image"], "contextWindow": 64_000, "maxTokens": 2_000 });
        let config = json!({
            "gateway": { "mode": "local", "port": port, "bind": "loopback",
                         "auth": { "mode": "token", "token": TOKEN },
                         "http": { "endpoints": { "chatCompletions": { "enabled": true } } } },
            "agents": { "defaults": {
                "model": { "primary": "fake/echo-1" }, "workspace": workspace,
                // It would speak when nobody expects it.
                "heartbeat": { "every": "0m" },
            } },
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

    /// The plugin as it is in the tree; its program is found in `PATH`.
    pub(crate) fn plugin() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("openclaw-plugin")
    }

    /// The plugin with the program beside it, as a package carries it.
    pub(crate) fn package(&self) -> PathBuf {
        let target = self.dir.path().join("package");
        copy(&Self::plugin(), &target);
        std::fs::create_dir_all(target.join("bin")).unwrap();
        std::fs::copy(PROGRAM, target.join("bin/ddingtalk")).unwrap();
        target
    }

    /// The plugin where it finds OpenClaw without a gateway.
    pub(crate) fn beside_openclaw(&self) -> PathBuf {
        let modules = std::env::split_paths(&self.path).find_map(|bin| {
            let modules = bin.parent()?;
            modules.join("openclaw").exists().then(|| modules.to_owned())
        });
        let target = self.dir.path().join("alone");
        copy(&Self::plugin(), &target);
        std::os::unix::fs::symlink(modules.unwrap(), target.join("node_modules")).unwrap();
        target
    }

    /// Another folder for OpenClaw's state, with the same settings but for channels and plugins, and with the
    /// plugin installed.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let home = self.dir.path().join(name);
        std::fs::create_dir_all(&home).unwrap();
        let mut settings = Self::settings(self.dir.path());
        for own in ["channels", "plugins", "commands"] {
            settings.as_object_mut().unwrap().remove(own);
        }
        // OpenClaw looks whose gateway it is that answers there.
        settings["gateway"]["port"] = free_port().into();
        std::fs::write(home.join("openclaw.json"), settings.to_string()).unwrap();
        let mut install = self.command("openclaw");
        install
            .args(["plugins", "install", "--force", "--accept-capabilities"])
            .arg(Self::plugin());
        let output = install.env("OPENCLAW_STATE_DIR", &home).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        home
    }

    /// The settings of a folder.
    pub(crate) fn settings(home: &Path) -> Value {
        let settings = std::fs::read_to_string(home.join("openclaw.json")).unwrap();
        serde_json::from_str(&settings).unwrap()
    }

    /// A program in the lab's surroundings, without input.
    pub(crate) fn command(&self, program: &str) -> Command {
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
            // Plugins that come as packages are installed by npm.
            .envs(std::env::var_os("NODE_EXTRA_CA_CERTS").map(|file| ("NODE_EXTRA_CA_CERTS", file)))
            .envs(std::env::home_dir().map(|home| ("NPM_CONFIG_USERCONFIG", home.join(".npmrc"))))
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
    pub(crate) fn start(&mut self) {
        let begin = Instant::now();
        self.spawn();
        // After three unclean ends within 5 min OpenClaw starts no channel, and says what to call.
        let tripped = || self.log().contains("restart-loop breaker tripped");
        self.until("the gateway attaches", || self.robot()["attached"] == true || tripped());
        if tripped() {
            self.until("the gateway listens", || self.log().contains("[gateway] ready"));
            let start =
                ["gateway", "call", "channels.start", "--params", r#"{"channel":"ddingtalk"}"#];
            let (code, text) = self.openclaw(&start);
            assert_eq!(code, 0, "{text}");
            self.until("the gateway attaches", || self.robot()["attached"] == true);
        }
        self.starts.push(begin.elapsed());
    }

    fn spawn(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("gateway.txt")).unwrap();
        let mut command = self.command("openclaw");
        command.arg("gateway").stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        self.gateway = Some(command.spawn().unwrap());
    }

    /// What the gateway has logged since it was started.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("gateway.txt")).unwrap_or_default()
    }

    /// Sets something, and waits until the running gateway has taken it over.
    pub(crate) fn set(&self, path: &str, value: &Value) {
        let taken = || {
            let log = self.log();
            log.lines()
                .filter(|line| line.contains("hot reload applied") && line.contains(path))
                .count()
        };
        let before = taken();
        let value = value.to_string();
        let (code, text) = self.openclaw(&["config", "set", path, &value, "--strict-json"]);
        assert_eq!(code, 0, "{text}");
        self.until("the gateway takes the setting over", || taken() > before);
        self.until("the gateway attaches again", || self.robot()["attached"] == true);
    }

    /// Ends the gateway in order.
    pub(crate) fn stop(&mut self) {
        let mut gateway = self.gateway.take().expect("no gateway runs");
        let ended = Command::new("kill").args(["-TERM", &gateway.id().to_string()]).status();
        assert!(ended.unwrap().success(), "it has ended by itself");
        gateway.wait().unwrap();
        self.until("the agent is gone", || self.robot()["attached"] != true);
    }

    /// Waits until the gateway has done what it does behind its start. While it works on its plugins (14 to 27 s
    /// after its start) it has a lease of 5 min, and if it is killed then, the next one waits for that without a word.
    pub(crate) fn settled(&self) {
        self.until("OpenClaw has no lease", || self.leases().is_empty());
    }

    /// Kills the gateway at once.
    pub(crate) fn kill(&mut self) {
        assert_eq!(self.leases(), [""; 0], "who starts next would wait for these");
        self.kill_now();
        self.until("the agent is gone", || self.robot()["attached"] != true);
    }

    fn kill_now(&mut self) {
        if let Some(mut gateway) = self.gateway.take() {
            // The connector is in a group of its own.
            kill_group(&mut gateway);
        }
    }

    /// What OpenClaw does that no other of its processes may do meanwhile.
    fn leases(&self) -> Vec<String> {
        let state = self.dir.path().join("state/openclaw.sqlite");
        let state = Connection::open_with_flags(state, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let scopes = "SELECT scope FROM state_leases WHERE scope <> 'gateway-owner'";
        let mut scopes = state.prepare(scopes).unwrap();
        scopes.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Kills the connector at once.
    pub(crate) fn kill_connector(&self) {
        let connector = self.connector().expect("no connector runs");
        let status = Command::new("kill").args(["-KILL", &connector]).status().unwrap();
        assert!(status.success(), "it has ended by itself");
    }

    /// The connector's process, if it answers.
    fn connector(&self) -> Option<String> {
        let status = status(&self.dir.path().join("ddingtalk/agent.sock"))?;
        Some(status["process"]["pid"].to_string())
    }

    /// Memory of the gateway, of the processes that it has started, and of the connector, in MiB.
    pub(crate) fn memory(&self) -> (u64, u64, u64) {
        let gateway = self.gateway.as_ref().unwrap().id();
        let connector = self.connector().unwrap();
        let group = Command::new("pgrep").args(["-g", &gateway.to_string()]).output().unwrap();
        let group = String::from_utf8_lossy(&group.stdout).into_owned();
        let children = group.lines().filter(|&process| process != gateway.to_string());
        let children = children.map(resident).sum();
        (resident(&gateway.to_string()), children, resident(&connector))
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
            let log = self.log();
            let end = log.ceil_char_boundary(log.len().saturating_sub(4_000));
            assert!(
                begin.elapsed() < PATIENCE,
                "{what}: not in {PATIENCE:?}\n{}\nsent: {:#?}",
                &log[end..],
                self.sent()
                    .iter()
                    .map(|row| (&row.to, &row.text, row.finished))
                    .collect::<Vec<_>>()
            );
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
        let connector = self.connector();
        self.kill_now();
        if let Some(connector) = connector {
            let _ = Command::new("kill").args(["-KILL", &connector]).status();
        }
    }
}

/// Kills a process that has a group of its own, with all that it has started in it.
pub(crate) fn kill_group(process: &mut std::process::Child) {
    let group = format!("-{}", process.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = process.wait();
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Memory of a process, in MiB.
fn resident(process: &str) -> u64 {
    // One that has just ended has none.
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024)
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
