//! SIGINT and SIGTERM: the first one ends in order, the second one at once. SIGHUP reads the settings again,
//! unless it is the hangup of a terminal.

use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit_code::{ExitCode, Failure};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// An end in order; the signal's number.
    End(i32),
    /// A look at the config file.
    Reload,
}

/// The signals, caught from the moment this is made.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn catch() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind)
                .map_err(|e| Failure::new(ExitCode::Failed, format!("cannot catch signals: {e}")))
        };
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn heard(&mut self) -> Heard {
        // Who began it in a terminal has gone; a daemon has none.
        let daemon = !(std::io::stdin().is_terminal() || std::io::stderr().is_terminal());
        let number = |kind: SignalKind| Heard::End(kind.as_raw_value());
        tokio::select! {
            _ = self.interrupt.recv() => number(SignalKind::interrupt()),
            _ = self.terminate.recv() => number(SignalKind::terminate()),
            _ = self.hangup.recv() => {
                if daemon { Heard::Reload } else { number(SignalKind::hangup()) }
            }
        }
    }

    /// Waits for the next one that asks for an end, and returns its number.
    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }

    /// Finishes `work`, unless one more signal comes: then the process ends at once, as if the signal
    /// had killed it.
    pub(super) async fn or_die<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            signal = self.next() => {
                std::process::exit(128 + signal)
            }
        }
    }
}
