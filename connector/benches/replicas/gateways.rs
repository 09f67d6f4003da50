//! The processes that are measured, and what they say.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::load::Load;
use super::{Fallible, within};

/// They have ended by then.
const ENDED: Duration = Duration::from_secs(20);
/// Lines of each log that are shown when something goes wrong.
const LINES: usize = 25;

/// Some gateways of one app, on one store.
pub(crate) struct Gateways {
    running: Vec<Running>,
    /// Where they keep their files.
    _dir: tempfile::TempDir,
}

/// Which robots a gateway has.
enum Robot<'a> {
    /// That of one app.
    One(&'a str),
    /// So many, by a config file.
    Many(usize),
}

/// Killed when dropped.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateways {
    pub(crate) fn start(load: &Load, app: &str, store: &str, count: usize) -> Fallible<Self> {
        let dir = tempfile::tempdir()?;
        let robot = Robot::One(app);
        let running = (0..count)
            .map(|n| Running::start(load, &robot, store, &dir.path().join(n.to_string())))
            .collect::<Fallible<_>>()?;
        Ok(Self { running, _dir: dir })
    }

    /// One gateway with so many robots, each of an app of its own.
    pub(crate) fn of_robots(load: &Load, store: &str, count: usize) -> Fallible<Self> {
        let dir = tempfile::tempdir()?;
        let running = Running::start(load, &Robot::Many(count), store, &dir.path().join("0"))?;
        Ok(Self { running: vec![running], _dir: dir })
    }

    /// Fails if one has ended.
    pub(crate) fn check(&mut self) -> Fallible<()> {
        for running in &mut self.running {
            if let Some(status) = running.child.try_wait()? {
                return Err(format!("a gateway has ended: {status}").into());
            }
        }
        Ok(())
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.running.iter().map(|running| running.child.id())
    }

    /// The ends of their logs.
    pub(crate) fn logs(&self) -> String {
        let log = |(n, running): (usize, &Running)| {
            let log = fs::read_to_string(&running.log).unwrap_or_else(|e| e.to_string());
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES)..];
            format!("\nlog of gateway {n}, its last lines:\n{}\n", last.join("\n"))
        };
        self.running.iter().enumerate().map(log).collect()
    }

    /// Ends them in order, so that nothing of theirs is left to whoever comes next.
    pub(crate) async fn stop(mut self) -> Fallible<()> {
        for running in &self.running {
            let pid = Pid::from_raw(i32::try_from(running.child.id())?).ok_or("no process")?;
            kill_process(pid, Signal::TERM)?;
        }
        for running in &mut self.running {
            let ended = async {
                loop {
                    match running.child.try_wait() {
                        Ok(None) => tokio::time::sleep(Duration::from_millis(20)).await,
                        ended => return ended,
                    }
                }
            };
            within("the end of a gateway", ENDED, ended).await??;
        }
        Ok(())
    }
}

impl Running {
    fn start(load: &Load, robot: &Robot<'_>, store: &str, dir: &Path) -> Fallible<Self> {
        fs::create_dir_all(dir)?;
        let log = dir.join("log");
        let output = File::create(&log)?;
        let credential = match robot {
            Robot::One(app) => {
                vec![("DINGTALK_CLIENT_ID", *app), ("DINGTALK_CLIENT_SECRET", "secret")]
            }
            Robot::Many(count) => {
                let account = |n| {
                    let app =
                        json!({ "clientId": format!("dingrobot{n}"), "clientSecret": "secret" });
                    (format!("robot{n}"), app)
                };
                let accounts: serde_json::Map<_, _> = (0..*count).map(account).collect();
                let config = json!({ "channels": { "ddingtalk": { "accounts": accounts } } });
                fs::write(dir.join("openclaw.json"), config.to_string())?;
                Vec::new()
            }
        };
        let child = Command::new(env!("CARGO_BIN_EXE_ddingtalk"))
            .args(["gateway", "--agent", "echo", "--dm-policy", "open", "--group-policy", "open"])
            .args(["--suspect-after", "120s", "--ping-interval", "30s", "--no-thinking"])
            // The port of the connections is not that of the endpoints.
            .args(["--allow-host", "127.0.0.1"])
            .env_clear()
            .envs(credential)
            .env("DINGTALK_OPENAPI_ENDPOINT", load.url())
            .env("DINGTALK_OAPI_ENDPOINT", load.url())
            .env("DINGTALK_STORE", store)
            .env("OPENCLAW_STATE_DIR", dir)
            // Who may talk is told of each message.
            .env("RUST_LOG", "info,audit=warn")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { child, log })
    }
}
