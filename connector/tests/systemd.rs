//! The program in services of a real systemd: what it outlives, and what ends it.
//!
//! It needs systemd's user manager, busctl and a session bus (Debian: systemd, dbus-user-session), and the right to
//! mount and to make control groups. Without them the tests are skipped, counted and named with the reason, also with
//! `REQUIRE_EXTERNAL=1`: a container need not allow it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use mock_dingtalk::{App, ConnectionState, MockDingtalk};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ddingtalk");
const GATEWAY: &str = "openclaw-gateway.service";
/// What the plugin starts it with, but for the state directory.
const ARGS: &str = "gateway run --agent openclaw --linger 10m";

fn main() {
    let arguments = Arguments::from_args();
    let there = Machine::start().map(drop);
    let tests: [(&str, Work); 4] = [
        (
            "it_takes_messages_in_while_the_service_that_started_it_restarts",
            || Box::pin(outlives()),
        ),
        ("where_it_must_end_with_the_service_that_started_it_it_says_so", || Box::pin(ends())),
        ("a_bus_that_does_not_answer_does_not_keep_messages_waiting", || Box::pin(goes_on())),
        ("in_a_service_of_its_own_it_stays", || Box::pin(stays())),
    ];
    let trials = tests.map(|(name, work)| match &there {
        Ok(()) => Trial::test(name, move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(work()).map_err(Failed::from)
        }),
        Err(reason) => {
            let name = format!("{name} (skipped: {reason})");
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&arguments, trials.into()).exit();
}

type Work = fn() -> Done;
type Done = std::pin::Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// A systemd with units of its own; gone when dropped.
struct Machine {
    child: Child,
    /// Nothing, once it has been closed.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    dir: TempDir,
}

impl Machine {
    fn start() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let said = dir.path().join("machine.txt");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/machine.sh");
        let mut child = Command::new("unshare")
            .args(["--mount", "sh"])
            .args([script.as_path(), dir.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&said).map_err(|e| e.to_string())?)
            .spawn()
            .map_err(|e| format!("unshare cannot be started: {e}"))?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut machine = Self { child, commands, answers, dir };
        let version = machine.answer();
        if version.is_ok() {
            return Ok(machine);
        }
        let said = std::fs::read_to_string(said).unwrap_or_default();
        let said: Vec<_> = said.split_whitespace().collect();
        Err(format!("no systemd can be started: {}", said.join(" ")))
    }

    /// Runs a line of shell in it.
    fn run(&mut self, line: &str) -> Result<String, String> {
        writeln!(self.commands.as_mut().unwrap(), "{line}").map_err(|e| e.to_string())?;
        match self.answer()? {
            (0, said) => Ok(said),
            (status, said) => Err(format!("{line} ends with {status}: {said}\n{}", self.log())),
        }
    }

    fn answer(&mut self) -> Result<(i32, String), String> {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).map_err(|e| e.to_string())? == 0 {
                return Err(format!("it ended: {said}"));
            }
            if let Some(status) = line.strip_prefix("= ").and_then(|n| n.trim().parse().ok()) {
                return Ok((status, said.trim().to_owned()));
            }
            said.push_str(&line);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A unit for an app of the mock, with what OpenClaw writes into its own.
    fn add_service(&mut self, unit: &str, starts: &str, app: &App, url: &str) {
        let mut text = format!(
            "[Unit]\nDescription={unit}\n[Service]\nExecStart={starts}\nRestart=always\nRestartSec=5\n\
             TimeoutStopSec=30\nSuccessExitStatus=0 143\nKillMode=mixed\n"
        );
        for (name, value) in [
            ("DINGTALK_CLIENT_ID", app.client_id()),
            ("DINGTALK_CLIENT_SECRET", app.client_secret()),
            ("DINGTALK_OPENAPI_ENDPOINT", url),
            ("DINGTALK_OAPI_ENDPOINT", url),
        ] {
            writeln!(text, "Environment={name}={value}").unwrap();
        }
        let units = self.path("home/.config/systemd/user");
        std::fs::create_dir_all(&units).unwrap();
        std::fs::write(units.join(unit), text).unwrap();
        self.run("systemctl --user daemon-reload").unwrap();
    }

    /// A service that starts the program as the plugin does, once, and then is busy with other things.
    fn add_gateway(&mut self, app: &App, url: &str, path: &str) {
        let dir = self.dir.path().display();
        let script = format!(
            "mkdir {dir}/started && setsid env PATH={path} {PROGRAM} {ARGS} --state-dir {dir}/state \
             </dev/null >/dev/null 2>{dir}/log.txt &\nexec sleep infinity\n"
        );
        std::fs::write(self.path("gateway.sh"), script).unwrap();
        self.add_service(GATEWAY, &format!("/bin/sh {dir}/gateway.sh"), app, url);
    }

    /// The process that works with the state directory, and its control group.
    fn working(&mut self) -> Result<(u64, String), String> {
        let state = self.path("state").display().to_string();
        let line = format!("{PROGRAM} gateway status --json --state-dir {state} 2>&1 || :");
        let said = self.run(&line)?;
        let status: Value = serde_json::from_str(said.lines().next().unwrap_or_default())
            .map_err(|e| format!("{e}: {said}"))?;
        let pid = status["process"]["pid"].as_u64().ok_or_else(|| format!("no pid: {status}"))?;
        let group = self.run(&format!("sed -n 's/^0:://p' /proc/{pid}/cgroup"))?;
        Ok((pid, group))
    }

    fn log(&self) -> String {
        ["log.txt", "manager.txt", "state/ddingtalk.log"]
            .map(|name| std::fs::read_to_string(self.path(name)).unwrap_or_default())
            .join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn still_open(app: &App) -> Result<(), String> {
    let rows = app.connections().map_err(|e| e.to_string())?;
    let open = rows.iter().filter(|row| row.state == ConnectionState::Open).count();
    check(open == 1, || format!("{rows:?}"))
}

/// A service that has started the program, which is connected; `path` is where that finds programs.
async fn gateway(
    path: impl FnOnce(&Path) -> String,
) -> Result<(MockDingtalk, App, Machine), String> {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut machine = Machine::start()?;
    let path = path(machine.dir.path());
    machine.add_gateway(&app, mock.url(), &path);
    machine.run(&format!("systemctl --user start {GATEWAY}"))?;
    app.wait_connections(1).await.map_err(|e| format!("{e}\n{}", machine.log()))?;
    Ok((mock, app, machine))
}

async fn outlives() -> Result<(), String> {
    let (_mock, app, mut machine) = gateway(|_| "$PATH".to_owned()).await?;
    let first = app.wait_connections(1).await.unwrap();
    let (pid, group) = machine.working()?;
    let scope = format!("/ddingtalk-{pid}.scope");
    check(group.ends_with(&scope), || format!("{group}\n{}", machine.log()))?;

    // What comes while the service is down is taken in, by the same process and connection.
    machine.run(&format!("systemctl --user stop {GATEWAY}"))?;
    app.say("user0001", "is anybody there?").await.unwrap();
    let acked = app.wait_acked(1).await.map_err(|e| format!("{e}\n{}", machine.log()))?;
    check(acked[0].ack.is_some(), || format!("{acked:?}"))?;
    machine.run(&format!("systemctl --user start {GATEWAY}"))?;
    machine.run(&format!("systemctl --user restart {GATEWAY}"))?;
    check(machine.working()? == (pid, group.clone()), || machine.log())?;
    let now = app.wait_connections(1).await.unwrap();
    check(now[0].connection_id == first[0].connection_id, || format!("{now:?}"))?;

    // A process in its place is in the same scope, and outlives the service, too.
    let state = machine.path("state").display().to_string();
    machine.run(&format!("{PROGRAM} gateway restart --state-dir {state}"))?;
    let (next, next_group) = machine.working()?;
    check(next != pid && next_group == group, || format!("{next} in {next_group}"))?;
    machine.run(&format!("systemctl --user restart {GATEWAY}"))?;
    check(machine.working()? == (next, group), || machine.log())?;
    still_open(&app)?;

    // However it ends, it leaves no unit behind.
    machine.run(&format!("kill -KILL {next}"))?;
    let units = format!("ddingtalk-{pid}.scope");
    let start = Instant::now();
    while !machine
        .run(&format!("systemctl --user --all list-units {units} --no-legend"))?
        .is_empty()
    {
        check(start.elapsed() < Duration::from_secs(20), || format!("{units} is still there"))?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The same service, where there is no `busctl`.
async fn ends() -> Result<(), String> {
    let (_mock, _, mut machine) = gateway(|_| "/nowhere".to_owned()).await?;
    let (_, group) = machine.working()?;
    check(group.ends_with(&format!("/{GATEWAY}")), || group)?;
    let log = std::fs::read_to_string(machine.path("state/ddingtalk.log")).unwrap();
    let warned = |part: &str| check(log.matches(part).count() == 1, || format!("{part:?}:\n{log}"));
    warned("openclaw-gateway.service started this program, and systemd ends both together")?;
    warned("busctl cannot be run: No such file or directory")?;
    warned(
        "Run `ddingtalk gateway --agent openclaw` with the same --state-dir as a service of its own",
    )?;
    machine.run(&format!("systemctl --user restart {GATEWAY}"))?;
    let gone = machine.working();
    let is_gone = gone.as_ref().is_err_and(|e| e.contains(r#""running":false"#));
    check(is_gone, || format!("it lives on: {gone:?}"))
}

/// The same, where `busctl` waits for ever.
async fn goes_on() -> Result<(), String> {
    let (_mock, _, mut machine) = gateway(|dir| {
        let (busctl, called) = (dir.join("busctl"), dir.join("called"));
        let script = format!("#!/bin/sh\necho $$ >{}\nexec /bin/sleep 600\n", called.display());
        std::fs::write(&busctl, script).unwrap();
        std::fs::set_permissions(&busctl, PermissionsExt::from_mode(0o700)).unwrap();
        dir.display().to_string()
    })
    .await?;
    let log = machine.log();
    check(log.contains("systemd has not done so within 2 s"), || log)?;
    let busctl = std::fs::read_to_string(machine.path("called")).unwrap();
    let left = machine.run(&format!("! grep -s '^State:.[^Z]' /proc/{}/status", busctl.trim()));
    left.map(drop)
}

/// A service whose main process it is, with `--linger`.
async fn stays() -> Result<(), String> {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut machine = Machine::start()?;
    let state = machine.path("state").display().to_string();
    let starts = format!("{PROGRAM} {ARGS} --state-dir {state}");
    machine.add_service("robot.service", &starts, &app, mock.url());
    machine.run("systemctl --user start robot.service")?;
    app.wait_connections(1).await.map_err(|e| format!("{e}\n{}", machine.log()))?;
    let (pid, group) = machine.working()?;
    check(group.ends_with("/robot.service"), || group)?;
    let main = machine.run("systemctl --user show --property MainPID --value robot.service")?;
    check(main == pid.to_string(), || main)?;
    let log = std::fs::read_to_string(machine.path("state/ddingtalk.log")).unwrap();
    check(!log.contains("WARN") && !log.contains(".scope"), || log)
}
