//! PostgreSQL on a free port, in a directory of its own; it ends with the last handle.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A running server.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    dir: tempfile::TempDir,
    address: SocketAddr,
    /// Whom it runs as, where this process is root: PostgreSQL refuses that.
    user: Option<(u32, u32)>,
}

/// Whether a server can be had.
pub(crate) fn there() -> Result<(), String> {
    for program in ["initdb", "pg_ctl", "postgres", "psql"] {
        let found = Command::new(program).arg("--version").output();
        match found {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Err(format!("{program} --version ends with {}", output.status)),
            Err(e) => return Err(format!("{program} cannot be started: {e}")),
        }
    }
    Ok(())
}

impl Cluster {
    pub(crate) fn start() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        // Free a moment ago: nothing better can be asked for by a number.
        let free = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = free.local_addr().map_err(|e| e.to_string())?;
        drop(free);
        let user = if rustix::process::getuid().is_root() { other_user() } else { None };
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).map_err(|e| e.to_string())?;
        }
        let cluster = Self(Arc::new(Inner { dir, address, user }));
        let inner = &cluster.0;
        inner.run(
            "initdb",
            &["-D", &inner.data(), "-A", "trust", "-U", "ddingtalk", "-E", "UTF8"],
        )?;
        cluster.begin()?;
        Ok(cluster)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The store's URL with another host and port.
    pub(crate) fn url_with(&self, host_and_port: &str) -> String {
        format!("postgres://ddingtalk@{host_and_port}/postgres")
    }

    /// Begins what was stopped.
    pub(crate) fn begin(&self) -> Result<(), String> {
        let inner = &self.0;
        let port = inner.address.port();
        let options =
            format!("-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories=''");
        let log = inner.path("log");
        inner.run("pg_ctl", &["-D", &inner.data(), "-w", "-l", &log, "-o", &options, "start"])
    }

    /// Ends it, with all connections.
    pub(crate) fn stop(&self) -> Result<(), String> {
        self.0.run("pg_ctl", &["-D", &self.0.data(), "-w", "-m", "fast", "stop"])
    }

    pub(crate) fn restart(&self) -> Result<(), String> {
        self.stop()?;
        self.begin()
    }

    /// Runs statements, as an operator might.
    pub(crate) fn sql(&self, statements: &str) -> Result<String, String> {
        let url = self.url_with(&self.0.address.to_string());
        self.0.output("psql", &[&url, "-v", "ON_ERROR_STOP=1", "-qAt", "-c", statements])
    }
}

impl Inner {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn data(&self) -> String {
        self.path("data")
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        // What pg_ctl starts inherits its output, and would hold a pipe open.
        let output = self.dir.path().join("output");
        let file = std::fs::File::create(&output).map_err(|e| e.to_string())?;
        let mut command = self.command(program, args);
        command.stdout(file.try_clone().map_err(|e| e.to_string())?).stderr(file);
        let status = command.status().map_err(|e| format!("{program}: {e}"))?;
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(output).unwrap_or_default();
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        Err(format!("{program} ends with {status}: {said}\n{log}"))
    }

    fn output(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let output = self.command(program, args).output().map_err(|e| format!("{program}: {e}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null()).env("LC_ALL", "C");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let stop = ["-D", &self.data(), "-m", "immediate", "stop"];
        if PathBuf::from(self.data()).join("postmaster.pid").exists() {
            let _ = self.run("pg_ctl", &stop);
        }
    }
}

/// Somebody who is not root.
fn other_user() -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    let of = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}
