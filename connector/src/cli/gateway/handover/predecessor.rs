//! The side of the process at work, whose place another one takes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::Nursery;
use super::words::{Event, Order, Report, Request};
use crate::link::NotRestarted;
use crate::unix_time::now_ms;

/// For the other process to start, to read its settings and to get its tickets.
const PREPARE: Duration = Duration::from_secs(20);
/// For its connections: turns are held meanwhile.
const CONNECT: Duration = Duration::from_secs(6);
/// For its addresses.
const LISTEN: Duration = Duration::from_secs(3);
/// For it to be killed.
const ABANDON: Duration = Duration::from_secs(5);
/// For its look into the store, which it may have to bring up to date.
const TAKE: Duration = Duration::from_secs(30);

/// When what happened, in milliseconds since 1970 UTC.
#[derive(Debug, Default)]
pub(in crate::cli::gateway) struct Times {
    /// Messages could arrive at the other process, robot by robot.
    connected: Vec<(String, i64)>,
    /// This one's connections were ended.
    pub(in crate::cli::gateway) stopped: i64,
    /// Agents and health checks could reach this process no more.
    pub(in crate::cli::gateway) unreachable: i64,
}

/// Another process is at work.
#[derive(Debug)]
pub(in crate::cli::gateway) struct Left {
    /// It.
    pub(in crate::cli::gateway) pid: u32,
    /// What is told of it.
    pub(in crate::cli::gateway) told: Value,
}

impl Nursery {
    /// Has another process started and connected; `hold` is true when no turn may begin, as it stays if all goes
    /// well.
    pub(in crate::cli::gateway) async fn call(
        &mut self,
        connected: Vec<String>,
        hold: &watch::Sender<bool>,
    ) -> Result<Times, NotRestarted> {
        if let Self::Own(keeper) = self {
            keeper.start().map_err(|problem| NotRestarted { problem, exit_code: 1 })?;
        } else {
            self.ask(Request::Start).await;
        }
        self.ask(Request::Tell(Order::Begin { connected })).await;
        self.heard(PREPARE, "did not get ready to connect", |report| {
            matches!(report, Report::Prepared).then_some(())
        })
        .await?;
        hold.send_replace(true);
        self.ask(Request::Tell(Order::Connect)).await;
        let connected = self.heard(CONNECT, "did not connect", |report| match report {
            Report::Connected { since } => Some(since),
            _ => None,
        });
        Ok(Times { connected: connected.await?, ..Times::default() })
    }

    /// Has it take the addresses that can be taken.
    pub(in crate::cli::gateway) async fn listen(&mut self) -> Result<(), NotRestarted> {
        self.ask(Request::Tell(Order::Listen)).await;
        let listens = |report| matches!(report, Report::Listens).then_some(());
        self.heard(LISTEN, "did not listen for agents", listens).await
    }

    /// Leaves everything to it; `alone` says that this process ends then.
    pub(in crate::cli::gateway) async fn leave(
        &mut self,
        alone: bool,
        times: &Times,
    ) -> Result<Left, NotRestarted> {
        self.ask(Request::Tell(Order::Take { alone })).await;
        let took = self.heard(TAKE, "did not begin to work", |report| match report {
            Report::Took { pid, at, listening, probed } => {
                Some(Left { pid, told: told(times, pid, at, (listening, probed)) })
            }
            _ => None,
        });
        took.await
    }

    /// It is at work; `alone` as before.
    pub(in crate::cli::gateway) async fn succeeded(&mut self, alone: bool) {
        self.ask(if alone { Request::Tell(Order::Alone) } else { Request::Succeeded }).await;
    }

    /// It is not to be. What it held is free then, and what it said before means nothing any more.
    pub(in crate::cli::gateway) async fn abandon(&mut self) {
        self.ask(Request::Abandon).await;
        if let Self::Keeper(upward) = self {
            let abandoned = async { while !matches!(upward.event().await, Event::Abandoned) {} };
            if timeout(ABANDON, abandoned).await.is_err() {
                warn!("whoever keeps this process does not say that the new one is gone");
            }
        }
    }

    async fn heard<T>(
        &mut self,
        patience: Duration,
        problem: &str,
        mut wanted: impl FnMut(Report) -> Option<T>,
    ) -> Result<T, NotRestarted> {
        let hear = async {
            loop {
                match self.event().await {
                    Event::Report(Report::Failed { problem, exit_code }) => {
                        return Err(NotRestarted { problem, exit_code });
                    }
                    Event::Report(report) => {
                        if let Some(found) = wanted(report) {
                            return Ok(found);
                        }
                    }
                    // That was an earlier one.
                    Event::Abandoned => {}
                    Event::Ended(how) => {
                        let problem = format!("the new process is gone: {how}");
                        return Err(NotRestarted { problem, exit_code: 1 });
                    }
                }
            }
        };
        timeout(patience, hear).await.unwrap_or_else(|_| {
            let time = humantime::format_duration(patience);
            let problem = format!("the new process {problem} within {time}, and was ended");
            Err(NotRestarted { problem, exit_code: 1 })
        })
    }
}

/// Gaps are times in which nobody could be reached, in milliseconds.
fn told(times: &Times, pid: u32, at: i64, (listening, probed): (i64, Option<i64>)) -> Value {
    let since = |(_, since): &(String, i64)| *since;
    let first = times.connected.iter().map(since).min();
    let last = times.connected.iter().map(since).max();
    let gap = |from: i64, to: i64| to.saturating_sub(from).max(0);
    json!({
        "v": 1,
        "restarted": true,
        "pid": pid,
        "was": std::process::id(),
        // No robot was connected before: there was nothing to interrupt.
        "gapMs": last.map(|last| gap(times.stopped, last)),
        "overlapMs": last.map(|last| gap(last, times.stopped)),
        "waitedMs": first.map(|first| gap(first, at)),
        "agentsGapMs": gap(times.unreachable, listening),
        "healthGapMs": probed.map(|probed| gap(times.unreachable, probed)),
        "at": now_ms(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_those_of_the_robot_that_waited_longest() {
        let connected = vec![("a".to_owned(), 100), ("b".to_owned(), 150)];
        let times = Times { connected, stopped: 120, unreachable: 200 };
        let told = told(&times, 7, 260, (190, Some(230)));
        let figures = ["gapMs", "overlapMs", "waitedMs", "agentsGapMs", "healthGapMs"];
        assert_eq!(figures.map(|name| told[name].as_i64()), [30, 0, 160, 0, 30].map(Some));
        let none = Times { stopped: 120, ..Times::default() };
        assert!(self::told(&none, 7, 260, (190, None))["gapMs"].is_null());
    }
}
