//! A systemd unit of its own for a program that is to outlive the service which started it (Linux).
//!
//! systemd ends a service with all that is in its control group (`KillMode=mixed` and `control-group`, of which
//! OpenClaw's gateway has the first), also what has a session of its own. A scope is a unit of processes that are
//! there already: the process stays the same one, with its id, its parent and its standard error.

mod service;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, getpid, getppid, getsid};
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use self::service::{Manager, Service};
use crate::config::Environment;

/// For all of it: a bus that does not answer must not keep messages waiting.
const PATIENCE: Duration = Duration::from_secs(2);
/// The manager answers before it has moved the process.
const LOOK: Duration = Duration::from_millis(2);

/// Leaves the service that started this process, where one has, and the process was given a session of its own,
/// as what is to go on by itself is. Where it cannot, it says so, and what to do.
pub(super) async fn leave_service(env: &dyn Environment) {
    let this = Process::this();
    let Some(service) = this.to_leave(env) else { return };
    let unit = &service.unit;
    let left = timeout(PATIENCE, this.leave(&service, Path::new("busctl"), env)).await;
    let late = |_| Err(format!("systemd has not done so within {} s", PATIENCE.as_secs()));
    match left.unwrap_or_else(late) {
        Ok(scope) => info!("{scope} is this program's own unit: it goes on when {unit} ends"),
        Err(problem) => warn!(
            "{unit} started this program, and systemd ends both together: messages that come while it restarts \
             are not taken in. A unit of its own cannot be had: {problem}. Run `ddingtalk gateway --agent openclaw` \
             with the same --state-dir as a service of its own, and OpenClaw's plugin attaches to it"
        ),
    }
}

/// A process, and where the kernel tells about processes.
#[derive(Debug)]
struct Process {
    proc: PathBuf,
    pid: Pid,
    parent: Option<Pid>,
    /// Whether it was given a session of its own.
    leads: bool,
}

impl Process {
    fn this() -> Self {
        let pid = getpid();
        let leads = getsid(None).is_ok_and(|session| session == pid);
        Self { proc: "/proc".into(), pid, parent: getppid(), leads }
    }

    /// The service that it is in and does not belong to. What a service starts leads no session, unless
    /// it is meant to go on by itself; a service's main process does, and stays.
    fn to_leave(&self, env: &dyn Environment) -> Option<Service> {
        let service = self.service(self.pid).ok().flatten().filter(|_| self.leads)?;
        let is_main = if let Some(main) = env.var("SYSTEMD_EXEC_PID") {
            main == self.pid.to_string()
        } else {
            // systemd before 248: the parent of a main process is the manager.
            let parents = self.parent.and_then(|parent| self.service(parent).ok().flatten());
            parents.as_ref() != Some(&service)
        };
        (!is_main).then_some(service)
    }

    fn service(&self, pid: Pid) -> io::Result<Option<Service>> {
        let cgroups = std::fs::read_to_string(self.proc.join(format!("{pid}/cgroup")))?;
        Ok(Service::of(&cgroups))
    }

    /// Has the service's manager move it into a new scope, and waits until it is there; returns the scope's name.
    async fn leave(
        &self,
        service: &Service,
        busctl: &Path,
        env: &dyn Environment,
    ) -> Result<String, String> {
        let scope = format!("ddingtalk-{}.scope", self.pid);
        let mut call = self.call(service.manager, &scope, busctl, env);
        let output = call.output().await.map_err(|e| format!("busctl cannot be run: {e}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().next_back().unwrap_or_default();
            return Err(format!("busctl ends with {}: {said}", output.status));
        }
        loop {
            let now = self.service(self.pid);
            if now.map_err(|e| format!("where is it now? {e}"))?.is_none() {
                return Ok(scope);
            }
            sleep(LOOK).await;
        }
    }

    /// `StartTransientUnit` of org.freedesktop.systemd1(5), with the process in `PIDs`.
    fn call(&self, manager: Manager, scope: &str, busctl: &Path, env: &dyn Environment) -> Command {
        let mut call = Command::new(busctl);
        match manager {
            Manager::System => {
                call.arg("--system");
            }
            Manager::User(uid) => {
                call.arg("--user");
                // Where its address follows from (sd_bus_default_user(3)).
                let known = ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"];
                if known.iter().all(|name| env.var(name).is_none()) {
                    call.env("XDG_RUNTIME_DIR", format!("/run/user/{uid}"));
                }
            }
        }
        // Nobody is there to be asked for a password.
        call.args(["--allow-interactive-authorization=no", "call"])
            .args(["org.freedesktop.systemd1", "/org/freedesktop/systemd1"])
            .args(["org.freedesktop.systemd1.Manager", "StartTransientUnit"])
            .args(["ssa(sv)a(sa(sv))", scope, "fail"])
            .args(["3", "PIDs", "au", "1", &self.pid.to_string()])
            .args(["Description", "s", "DingTalk connector, between starts of its agent"])
            // A name is free again, however it ended.
            .args(["CollectMode", "s", "inactive-or-failed"])
            .arg("0");
        call.stdin(Stdio::null()).kill_on_drop(true);
        call
    }
}

#[cfg(test)]
mod tests;
