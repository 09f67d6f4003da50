//! The signals that ask for an end.

use std::io;

use super::Status;

/// Listens for them, from the moment it is made.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals([(tokio::signal::unix::Signal, Status); 3]);

#[cfg(unix)]
impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self([
            (signal(SignalKind::interrupt())?, Status::Interrupted),
            (signal(SignalKind::terminate())?, Status::Terminated),
            (signal(SignalKind::hangup())?, Status::HungUp),
        ]))
    }

    /// The exit status that goes with the one that comes first.
    pub(super) async fn next(&mut self) -> Status {
        let [(interrupt, one), (terminate, other), (hang_up, last)] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => *one,
            _ = terminate.recv() => *other,
            _ = hang_up.recv() => *last,
        }
    }
}

/// Listens for Ctrl-C, which is all there is here.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) -> Status {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Status::Interrupted,
            Err(_) => std::future::pending().await,
        }
    }
}
