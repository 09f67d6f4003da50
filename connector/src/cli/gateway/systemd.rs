//! What systemd is told (`sd_notify`): a datagram on the socket that `NOTIFY_SOCKET` names.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::warn;

use crate::config::Environment;
use crate::store::Store;

/// Whoever supervises this process, if anybody does.
#[derive(Debug, Default)]
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    is_systemd: bool,
}

impl Supervisor {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID` and `SYSTEMD_EXEC_PID`.
    pub(super) fn new(env: &dyn Environment) -> Self {
        let set = |name| env.var(name).filter(|value| !value.is_empty());
        let socket = set("NOTIFY_SOCKET").and_then(|name| {
            let opened = address(&name).and_then(|to| Ok((unbound()?, to)));
            opened.inspect_err(|e| warn!("NOTIFY_SOCKET {name} cannot be used: {e}")).ok()
        });
        // What a terminal or another service hands on is not meant for this process.
        let is_ours = |name| set(name).map(|pid| pid == std::process::id().to_string());
        let watchdog = set("WATCHDOG_USEC")
            .filter(|_| is_ours("WATCHDOG_PID") != Some(false))
            .and_then(|usec| usec.parse().ok());
        Self {
            socket,
            watchdog: watchdog.filter(|usec| *usec > 0).map(Duration::from_micros),
            is_systemd: is_ours("SYSTEMD_EXEC_PID") == Some(true) || set("NOTIFY_SOCKET").is_some(),
        }
    }

    pub(super) fn is_systemd(&self) -> bool {
        self.is_systemd
    }

    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Whether it follows another process if it is told to. Without the first process of a container, whoever
    /// listens outside of it, the container itself ends.
    pub(super) fn follows(&self) -> bool {
        self.socket.is_some() && std::process::id() != 1
    }

    /// Another process is the one to be supervised.
    pub(super) fn follow(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}"));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Tells twice in the watchdog's time that all is well, as long as the store answers.
    pub(super) fn watch(self: &Arc<Self>, store: Arc<dyn Store>) -> Option<JoinHandle<()>> {
        let pause = self.watchdog? / 2;
        let supervisor = Arc::clone(self);
        Some(tokio::spawn(async move {
            loop {
                if store.barrier().await.is_ok() {
                    supervisor.tell("WATCHDOG=1");
                }
                tokio::time::sleep(pause).await;
            }
        }))
    }

    fn tell(&self, state: &str) {
        if let Some((socket, to)) = &self.socket
            && let Err(e) = socket.send_to_addr(state.as_bytes(), to)
        {
            warn!("systemd cannot be told {state}: {e}");
        }
    }
}

/// A socket that does not wait for whoever listens: nothing else would go on meanwhile.
fn unbound() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A path, or with `@` a name without a file.
fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)
        }
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Env(HashMap<&'static str, String>);

    impl Environment for Env {
        fn var(&self, name: &str) -> Option<String> {
            self.0.get(name).cloned()
        }
    }

    #[test]
    fn the_socket_hears_each_word_by_path_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify").display().to_string();
        let mut names = vec![path];
        if cfg!(target_os = "linux") {
            names.push(format!("@ddingtalk-test-{}", std::process::id()));
        }
        for name in names {
            let heard = UnixDatagram::bind_addr(&address(&name).unwrap()).unwrap();
            let supervisor = Supervisor::new(&Env([("NOTIFY_SOCKET", name)].into()));
            assert!(supervisor.is_systemd());
            supervisor.ready();
            supervisor.stopping();
            for expected in ["READY=1", "STOPPING=1"] {
                let mut bytes = [0; 64];
                let length = heard.recv(&mut bytes).unwrap();
                assert_eq!(&bytes[..length], expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_watchdog_of_another_process_or_of_no_time_is_none() {
        let watchdog = |vars: &[(&'static str, String)]| {
            Supervisor::new(&Env(vars.iter().cloned().collect())).watchdog
        };
        let usec = ("WATCHDOG_USEC", "30000000".to_owned());
        assert_eq!(watchdog(std::slice::from_ref(&usec)), Some(Duration::from_secs(30)));
        let mine = ("WATCHDOG_PID", std::process::id().to_string());
        assert_eq!(watchdog(&[usec.clone(), mine]), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(&[usec, ("WATCHDOG_PID", "1".to_owned())]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "0".to_owned())]), None);
    }
}
