//! SIGINT and SIGTERM: the first one ends in order, the second one at once. SIGHUP reads the settings again,
//! unless it is the hangup of a terminal.
//!
//! A process that another one keeps is told of that one's signals, too. A terminal, or a supervisor, signals
//! both, which is one request and no second one.

use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::exit_code::{ExitCode, Failure};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// An end in order; the signal's number.
    End(i32),
    /// A look at the config file.
    Reload,
}

/// Where a signal came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    System = 0,
    Keeper = 1,
}

/// The signals, caught from the moment this is made.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    keeper: Option<mpsc::Receiver<i32>>,
    /// How often an end was asked for, by source.
    ends: [u32; 2],
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
            keeper: None,
            ends: [0; 2],
        })
    }

    /// Hears the signals of the process that keeps this one, too.
    pub(super) fn also_from(&mut self, keeper: mpsc::Receiver<i32>) {
        self.keeper = Some(keeper);
    }

    /// Waits for the next signal.
    pub(super) async fn heard(&mut self) -> Heard {
        let (number, source) = self.any().await;
        // Who began it in a terminal has gone; a daemon has none.
        let daemon = !(std::io::stdin().is_terminal() || std::io::stderr().is_terminal());
        if number == HANGUP && daemon {
            return Heard::Reload;
        }
        self.ends[source as usize] += 1;
        Heard::End(number)
    }

    /// Waits for the next one that asks for an end, and returns its number.
    pub(super) async fn next(&mut self) -> i32 {
        loop {
            let (number, source) = self.any().await;
            if number != HANGUP {
                self.ends[source as usize] += 1;
                return number;
            }
        }
    }

    /// Finishes `work`, unless one more signal comes: then the process ends at once, as if the signal
    /// had killed it.
    pub(super) async fn or_die<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            signal = self.one_more() => {
                std::process::exit(128 + signal)
            }
        }
    }

    /// Waits until whoever asked for an end asks again; where nobody has, for the first one who does.
    async fn one_more(&mut self) -> i32 {
        let unasked = self.ends == [0; 2];
        loop {
            let number = self.next().await;
            if unasked || self.ends.iter().any(|times| *times > 1) {
                return number;
            }
        }
    }

    async fn any(&mut self) -> (i32, Source) {
        let keeper = async {
            let told = match &mut self.keeper {
                Some(keeper) => keeper.recv().await,
                None => None,
            };
            match told {
                Some(number) => number,
                None => std::future::pending().await,
            }
        };
        let number = |kind: SignalKind| (kind.as_raw_value(), Source::System);
        tokio::select! {
            _ = self.interrupt.recv() => number(SignalKind::interrupt()),
            _ = self.terminate.recv() => number(SignalKind::terminate()),
            _ = self.hangup.recv() => (HANGUP, Source::System),
            told = keeper => (told, Source::Keeper),
        }
    }
}

pub(super) const HANGUP: i32 = SignalKind::hangup().as_raw_value();

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_second_request_counts_where_the_first_one_came_from() {
        let (keeper, told) = mpsc::channel(4);
        let mut signals = Signals::catch().unwrap();
        signals.also_from(told);
        // As if the system had asked first.
        signals.ends = [1, 0];
        keeper.send(15).await.unwrap();
        keeper.send(HANGUP).await.unwrap();
        let soon = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(soon, signals.one_more()).await.is_err(),
            "it is the same one"
        );
        keeper.send(15).await.unwrap();
        assert_eq!(signals.one_more().await, 15);
    }
}
