//! One `ddingtalk gateway` among others: killed and started again, cut off from the database.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mock_dingtalk::{App, MockDingtalk};

use super::cluster::Cluster;
use super::proxy::Proxy;

/// How the program says that it repeats a send that may have arrived.
const COUNTED: &str = "a send that may have arrived is repeated";
/// How it says that it gives a message up.
const PARKED: &str = "parked:";
/// How long anything may take that should happen soon, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where the program of a test finds what it needs.
pub(crate) struct Site {
    pub(crate) mock: MockDingtalk,
    pub(crate) app: App,
    pub(crate) dir: tempfile::TempDir,
    /// Where the database is, and on which port of this machine.
    pub(crate) database: (String, u16),
}

impl Site {
    /// With an app as it comes, and a database of its own.
    pub(crate) async fn new(cluster: &Cluster) -> Self {
        let mock = MockDingtalk::start().await.unwrap();
        let app = mock.app();
        let dir = tempfile::tempdir().unwrap();
        Self { mock, app, dir, database: (cluster.database(), cluster.port()) }
    }
}

/// A process, and its way to the database.
pub(crate) struct Replica {
    name: String,
    pub(crate) proxy: Proxy,
    dir: PathBuf,
    /// Without its proxy.
    pub(crate) is_direct: bool,
    running: Option<(Child, PathBuf)>,
    starts: usize,
    /// Sends that may be second ones, of processes that have ended.
    counted: usize,
}

impl Replica {
    pub(crate) async fn new(site: &Site, name: &str) -> Self {
        let database = SocketAddr::from(([127, 0, 0, 1], site.database.1));
        let dir = site.dir.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let (proxy, name) = (Proxy::to(database).await, name.to_owned());
        Self { name, proxy, dir, is_direct: false, running: None, starts: 0, counted: 0 }
    }

    /// Its state directory's parent.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// `ddingtalk …` with a clean environment that leads to the mock and the database.
    pub(crate) fn command(&self, site: &Site, args: &[&str]) -> Command {
        let (url, port) = &site.database;
        let by_proxy = url.replace(&format!("127.0.0.1:{port}"), &self.proxy.address().to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddingtalk"));
        command
            .args(args)
            .env_clear()
            .env("DINGTALK_CLIENT_ID", site.app.client_id())
            .env("DINGTALK_CLIENT_SECRET", site.app.client_secret())
            .env("DINGTALK_OPENAPI_ENDPOINT", site.mock.url())
            .env("DINGTALK_OAPI_ENDPOINT", site.mock.url())
            .env("DINGTALK_STORE", if self.is_direct { url } else { &by_proxy })
            .env("OPENCLAW_STATE_DIR", &self.dir)
            .env("RUST_LOG", "info,audit=off")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&mut self, site: &Site) {
        self.start_with(site, &[]);
    }

    pub(crate) fn start_with(&mut self, site: &Site, args: &[&str]) {
        self.start_as(site, args, &[]);
    }

    /// Starts it; everybody may talk to it.
    pub(crate) fn start_as(&mut self, site: &Site, args: &[&str], environment: &[(&str, &str)]) {
        assert!(self.running.is_none(), "it runs");
        self.starts += 1;
        let log = self.dir.join(format!("log-{}.txt", self.starts));
        let mut command =
            self.command(site, &["gateway", "--dm-policy", "open", "--group-policy", "open"]);
        command
            .args(args)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        self.running = Some((command.spawn().unwrap(), log));
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let Some((mut child, log)) = self.running.take() else { return Ok(()) };
        let _ = child.kill();
        let _ = child.wait();
        self.judge(&log)
    }

    /// Ends it in order; returns its exit code.
    pub(crate) fn end(&mut self) -> Result<Option<i32>, String> {
        self.tell_to_end();
        self.ended()
    }

    /// Tells it to end in order.
    pub(crate) fn tell_to_end(&self) {
        if let Some((child, _)) = &self.running {
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        }
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        let Some((child, _)) = &mut self.running else { return false };
        child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; returns its exit code.
    pub(crate) fn ended(&mut self) -> Result<Option<i32>, String> {
        let Some((mut child, log)) = self.running.take() else { return Ok(None) };
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                return Err(format!("{} does not end:\n{}", self.name, read(&log)));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        self.judge(&log)?;
        Ok(status.code())
    }

    fn judge(&mut self, log: &Path) -> Result<(), String> {
        let text = read(log);
        self.counted += text.matches(COUNTED).count();
        if text.contains(PARKED) || text.contains("panicked") {
            let name = &self.name;
            return Err(format!("{name} gave a message up, or something panicked:\n{text}"));
        }
        Ok(())
    }

    /// What it has logged since its last start.
    pub(crate) fn log(&self) -> String {
        let log = self.dir.join(format!("log-{}.txt", self.starts));
        read(&log)
    }

    /// Sends that may be second ones, those of earlier processes included.
    pub(crate) fn counted(&self) -> usize {
        let running =
            self.running.as_ref().map_or(0, |(_, log)| read(log).matches(COUNTED).count());
        self.counted + running
    }

    /// Waits until the log has a text.
    pub(crate) async fn wait_log(&self, part: &str) -> Result<(), String> {
        let start = Instant::now();
        while !self.log().contains(part) {
            if start.elapsed() > PATIENCE {
                return Err(format!("no {part:?} from {}:\n{}", self.name, self.log()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What another command says in its state directory.
    pub(crate) async fn ask(&self, site: &Site, args: &[&str]) -> Output {
        let mut command = self.command(site, args);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// Its status, as JSON.
    pub(crate) async fn status(&self, site: &Site) -> serde_json::Value {
        let output = self.ask(site, &["gateway", "status", "--json"]).await;
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
