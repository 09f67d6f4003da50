//! SIGINT and SIGTERM: the first one ends in order, the second one at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit_code::{ExitCode, Failure};

/// Both signals, caught from the moment this is made.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
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
        })
    }

    /// Waits for the next signal and returns its number.
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
