//! A second server that follows a first one and takes its place, and other changes. Include it beside `cluster.rs`.

use std::process::{Command, Stdio};

use super::cluster::Cluster;

impl Cluster {
    /// Another server that gets everything from this one.
    pub(crate) fn standby(&self) -> Self {
        let mut standby = Self::place(self.programs.clone());
        let mut copy = standby.program("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "tester", "-R", "-X", "stream", "-c", "fast", "-p"]);
        copy.arg(self.port.to_string());
        done(copy);
        standby.run(false);
        standby
    }

    /// Changes a setting while it runs.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Makes a standby a primary.
    pub(crate) fn promote(&self) {
        let mut promote = self.program("pg_ctl");
        promote.args(["promote", "-w", "-t", "60"]);
        done(promote);
    }

    /// One of the server's programs, for its directory.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.arg("-D").arg(self.dir.join("data"));
        self.as_user(&mut command);
        command
    }
}

fn done(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {why}");
}
