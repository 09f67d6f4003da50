//! The signals that ask for an end.

use super::exit_code::Exit;

/// A signal that asks for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Ctrl-C at a terminal.
    Interrupt,
    /// `kill`.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

#[cfg(unix)]
pub(super) use self::unix::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::{Ending, Exit};

    /// Listens for them, from the moment it is made.
    #[derive(Debug)]
    pub(in crate::cli) struct Signals {
        interrupt: Signal,
        terminate: Signal,
        hang_up: Signal,
    }

    impl Signals {
        pub(in crate::cli) fn listen() -> Result<Self, Exit> {
            let listen = |kind| {
                signal(kind).map_err(|e| Exit::failed(format!("cannot listen for signals: {e}")))
            };
            Ok(Self {
                interrupt: listen(SignalKind::interrupt())?,
                terminate: listen(SignalKind::terminate())?,
                hang_up: listen(SignalKind::hangup())?,
            })
        }

        pub(in crate::cli) async fn next(&mut self) -> Ending {
            tokio::select! {
                _ = self.interrupt.recv() => Ending::Interrupt,
                _ = self.terminate.recv() => Ending::Terminate,
                _ = self.hang_up.recv() => Ending::HangUp,
            }
        }
    }
}

#[cfg(not(unix))]
pub(super) use self::elsewhere::Signals;

#[cfg(not(unix))]
mod elsewhere {
    use super::{Ending, Exit};

    /// Listens for Ctrl-C, which is all there is here.
    #[derive(Debug)]
    pub(in crate::cli) struct Signals;

    impl Signals {
        pub(in crate::cli) fn listen() -> Result<Self, Exit> {
            Ok(Self)
        }

        pub(in crate::cli) async fn next(&mut self) -> Ending {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Ending::Interrupt,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
