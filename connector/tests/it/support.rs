//! A mock, an app, and the program connected to it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dingtalk_connector::agent::Agent;
use dingtalk_connector::credential::{ClientId, Credential};
use dingtalk_connector::gateway::access::AccessPolicy;
use dingtalk_connector::gateway::cards::CardConfig;
use dingtalk_connector::gateway::deafness::AlertConfig;
use dingtalk_connector::gateway::{Gateway, GatewayConfig, QUEUED_AFTER};
use dingtalk_connector::openapi::{CALLS_PER_SECOND, Endpoints, OpenApiConfig, TrustedHosts};
use dingtalk_connector::redact::Secret;
use dingtalk_connector::store::Store;
use dingtalk_connector::store::sqlite::{FILE, SqliteStore};
use dingtalk_connector::stream::SessionConfig;
use dingtalk_connector::tls;
use mock_dingtalk::{App, AppOptions, ConnectionRow, ConnectionState, MockDingtalk};
use tempfile::TempDir;
use tokio::sync::watch;
use url::Url;

/// How long anything may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One mock with one app, and a directory for whatever a test needs.
pub(crate) struct World {
    pub(crate) mock: MockDingtalk,
    pub(crate) app: App,
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(AppOptions::default()).await
    }

    /// With an app of one's own choosing.
    pub(crate) async fn with(options: AppOptions) -> Self {
        let mock = MockDingtalk::start().await.expect("the mock starts");
        let app = mock.app_with(options).expect("the app can be minted");
        Self { mock, app, dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// What a client of this app's API needs.
    pub(crate) fn openapi_config(&self) -> OpenApiConfig {
        let url = Url::parse(self.mock.url()).expect("the mock has a URL");
        let endpoints = Endpoints { openapi: url.clone(), oapi: url };
        OpenApiConfig {
            trusted: TrustedHosts::new(&endpoints, []),
            endpoints,
            credential: Credential {
                client_id: ClientId::new(self.app.client_id()),
                client_secret: Secret::new(self.app.client_secret()),
                place: "the test".to_owned(),
            },
            tls: tls::no_trust(),
            system_proxy: false,
            timeout: Duration::from_secs(10),
            calls_per_second: CALLS_PER_SECOND,
        }
    }

    /// A robot inside of the test, with an agent of its own; everybody may talk to it.
    pub(crate) fn gateway_config(&self, agent: Arc<dyn Agent>) -> GatewayConfig {
        GatewayConfig {
            openapi: self.openapi_config(),
            session: SessionConfig::default(),
            handshake_timeout: Duration::from_secs(10),
            agent,
            state_dir: self.dir.path().to_owned(),
            access: fixed(AccessPolicy::open()),
            show_thinking: true,
            queued_after: Some(QUEUED_AFTER),
            delegate: true,
            cards: CardConfig::default(),
            alert: AlertConfig::default(),
            held: watch::Sender::new(false).subscribe(),
            traces: None,
        }
    }

    /// The store in the world's directory.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.dir.path().join(FILE)).expect("the store opens"))
    }

    /// Starts such a robot with its store, and waits until it is connected.
    pub(crate) async fn start_with(&self, agent: Arc<dyn Agent>) -> Gateway {
        let config = self.gateway_config(agent);
        let gateway = Gateway::start(config, self.store()).await.expect("the robot starts");
        self.app.wait_connections(1).await.expect("the connector connects");
        gateway
    }

    /// `ddingtalk gateway` with a clean environment that points at the mock.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command
            .arg("gateway")
            .args(args)
            .env("DINGTALK_CLIENT_ID", self.app.client_id())
            .env("DINGTALK_CLIENT_SECRET", self.app.client_secret())
            .env("DINGTALK_OPENAPI_ENDPOINT", self.mock.url())
            .env("DINGTALK_OAPI_ENDPOINT", self.mock.url())
            .env("OPENCLAW_STATE_DIR", self.dir.path());
        command
    }

    /// What another command says to the program that runs in this world.
    pub(crate) async fn ask(&self, args: &[&str]) -> String {
        let mut command = program();
        command.args(args).env("OPENCLAW_STATE_DIR", self.dir.path());
        transcript_of(&output_of(command).await)
    }

    /// Asks again and again until the answer holds `part`, but for blanks: what is noted of messages and runs
    /// goes to disk a little later.
    pub(crate) async fn ask_until(&self, args: &[&str], part: &str) -> String {
        let start = Instant::now();
        loop {
            let transcript = self.ask(args).await;
            if steady(&transcript, &[]).contains(part) {
                return transcript;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {part:?}:\n{transcript}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the program; everybody may talk to it.
    pub(crate) fn start_open(&self) -> Running {
        self.start(&["--dm-policy", "open", "--group-policy", "open"])
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        self.start_command(self.command(args))
    }

    pub(crate) fn start_command(&self, command: Command) -> Running {
        Running::start(command, self.dir.path())
    }

    /// Waits until the mock has noticed that a killed program is gone: what goes to a dead connection is
    /// lost.
    pub(crate) async fn wait_disconnected(&self) {
        let ended = |rows: &[ConnectionRow]| {
            rows.iter().all(|row| row.state == ConnectionState::Closed).then_some(())
        };
        self.app.wait_for_connections("the end of all connections", ended).await.unwrap();
    }

    /// Writes the section `channels.ddingtalk` of the config file.
    pub(crate) fn configure(&self, section: &serde_json::Value) {
        let whole = serde_json::json!({ "channels": { "ddingtalk": section } });
        std::fs::write(self.dir.path().join("openclaw.json"), whole.to_string())
            .expect("the config file can be written");
    }

    /// Starts the program with a section of the config file and no credentials in the environment.
    pub(crate) fn start_configured(&self, section: &serde_json::Value) -> Running {
        self.configure(section);
        let mut command = self.command(&[]);
        command.env_remove("DINGTALK_CLIENT_ID").env_remove("DINGTALK_CLIENT_SECRET");
        self.start_command(command)
    }

    /// Starts the program and waits until it is connected and has shown that it answers.
    pub(crate) async fn start_proven(&self) -> Running {
        let running = self.start_open();
        self.app.wait_connections(1).await.expect("the connector connects");
        self.app.say("user0001", "are you there?").await.expect("the app exists");
        self.app.wait_sent(1).await.expect("the connector answers");
        running
    }
}

/// Rules that do not change.
pub(crate) fn fixed(policy: AccessPolicy) -> watch::Receiver<AccessPolicy> {
    watch::Sender::new(policy).subscribe()
}

/// The program with an empty environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddingtalk"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Exit code, stdout and stderr in one text.
pub(crate) fn transcript_of(output: &Output) -> String {
    format!(
        "exit code: {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().map_or("none".to_owned(), |code| code.to_string()),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )
}

/// What changes from run to run is replaced: times, how long steps took, and these words.
pub(crate) fn steady(transcript: &str, words: &[(&str, &str)]) -> String {
    let mut text = transcript.to_owned();
    for (word, name) in words {
        text = text.replace(word, name);
    }
    let steady = |word: &str| {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if word.starts_with("20") && word.ends_with('Z') && word.contains('T') {
            "TIME".to_owned()
        } else if word.strip_prefix('+').is_some_and(digits) {
            "+N".to_owned()
        } else if word.len() > 30 && !word.contains(['{', '`']) {
            "ID".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name @ ("messageId" | "chat" | "trace"), _] => format!("{name} ID"),
        ref words => words.iter().map(|word| steady(word)).collect::<Vec<_>>().join(" "),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Runs a command to its end, while the mock goes on.
pub(crate) async fn output_of(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("the program runs")
}

/// A running program; killed when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn start(mut command: Command, dir: &Path) -> Self {
        let log = dir.join("log.txt");
        let stderr = File::create(&log).expect("the log file can be made");
        if !command.get_envs().any(|(name, _)| name == "RUST_LOG") {
            command.env("RUST_LOG", "debug");
        }
        let child =
            command.stdout(Stdio::null()).stderr(stderr).spawn().expect("the program starts");
        Self { child, log }
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log file is there")
    }

    /// Lines of the log that hold `part`.
    pub(crate) fn lines(&self, part: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }

    /// Waits until the log holds `count` lines with `part`.
    pub(crate) async fn wait_log(&self, part: &str, count: usize) -> Vec<String> {
        let what = || format!("{count} log lines with {part:?}; the log is:\n{}", self.log());
        eventually(what, || Some(self.lines(part)).filter(|lines| lines.len() >= count)).await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// SIGKILL; returns what was logged.
    pub(crate) fn kill(mut self) -> String {
        self.kill_now();
        self.log()
    }

    /// SIGKILL.
    pub(crate) fn kill_now(&mut self) {
        self.child.kill().expect("the child can be killed");
        self.child.wait().expect("the child can be waited for");
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success());
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let log = self.log.clone();
        let what = || {
            format!("the program's end; the log is:\n{}", std::fs::read_to_string(&log).unwrap())
        };
        eventually(what, || {
            status = self.child.try_wait().expect("the child can be asked");
            status
        })
        .await
    }
}

impl Drop for Running {
    #[expect(clippy::print_stdout, reason = "a failed test shows what the program logged")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the program's log:\n{}", self.log());
        }
    }
}

/// Looks again and again until `look` finds something; there is no event to wait for in a file or a
/// process table.
pub(crate) async fn eventually<T>(
    what: impl Fn() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {}", what());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a command to its end; exit code, stdout and stderr in one text.
pub(crate) fn transcript(command: &mut Command) -> String {
    transcript_of(&command.output().unwrap())
}
