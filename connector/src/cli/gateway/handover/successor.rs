//! The side of the process that takes another's place.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::wire::{self, Ear, Mouth};
use super::words::{Down, Event, Order, Report, Up};
use crate::cli::exit_code::{ExitCode, Failure};
use crate::credential::ClientId;
use crate::gateway::line::{Line, LineConfig};
use crate::stream::{OpenFailure, Outage, StreamState};
use crate::unix_time::now_ms;

/// The process that started this one.
#[derive(Debug)]
pub(in crate::cli::gateway) struct Upward {
    orders: mpsc::Receiver<Order>,
    events: mpsc::Receiver<Event>,
    mouth: Mouth,
}

/// Words that may wait; there are never many.
const WORDS: usize = 16;
/// What a process is to do that is kept by one which is gone.
const SIGTERM: i32 = 15;
/// For the next word of the other process. It may hold on to its turns, and its connections, for a while.
const ORDER: Duration = Duration::from_secs(30);
/// For endpoint and ticket of every robot.
const TICKETS: Duration = Duration::from_secs(10);
/// For the connections. Turns are held on both sides meanwhile.
const CONNECT: Duration = Duration::from_secs(4);

impl Upward {
    /// From the standard input; and the signals that come by it.
    pub(super) fn of_stdin() -> io::Result<(Self, mpsc::Receiver<i32>)> {
        let (ear, mouth) = wire::of_stdin()?;
        let (orders, order_queue) = mpsc::channel(WORDS);
        let (events, event_queue) = mpsc::channel(WORDS);
        let (signals, signal_queue) = mpsc::channel(WORDS);
        tokio::spawn(hear(ear, orders, events, signals));
        Ok((Self { orders: order_queue, events: event_queue, mouth }, signal_queue))
    }

    /// The next word of the process before this one.
    ///
    /// Can be dropped at any time.
    pub(super) async fn order(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    /// What becomes of the process after this one.
    ///
    /// Can be dropped at any time.
    pub(super) async fn event(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // Then this one ends, too, as if it had been told to.
            None => std::future::pending().await,
        }
    }

    pub(super) async fn say(&mut self, word: Up) {
        self.mouth.say(&word).await;
    }

    /// Tells the process before this one.
    pub(in crate::cli::gateway) async fn report(&mut self, report: Report) {
        self.say(Up::Report(report)).await;
    }

    async fn expect<T>(&mut self, wanted: impl Fn(&Order) -> Option<T>) -> Result<T, Failure> {
        let order = timeout(ORDER, self.order()).await.ok().flatten();
        order.as_ref().and_then(wanted).ok_or_else(|| {
            let message = match order {
                Some(order) => format!("the process before this one says {order:?} too early"),
                None => "the process before this one says nothing more".to_owned(),
            };
            Failure::new(ExitCode::Failed, message)
        })
    }
}

/// Sorts words until the other process is gone, or goes.
async fn hear(
    mut ear: Ear,
    orders: mpsc::Sender<Order>,
    events: mpsc::Sender<Event>,
    signals: mpsc::Sender<i32>,
) {
    // Whoever sends more than can wait has lost its way; signals must get through.
    while let Some(word) = ear.hear().await {
        match word {
            Down::Order(order) => {
                let goes = order == Order::Alone;
                let _ = orders.try_send(order);
                if goes {
                    return;
                }
            }
            Down::Successor(event) => drop(events.try_send(event)),
            Down::Signal(number) => drop(signals.try_send(number)),
        }
    }
    let _ = signals.try_send(SIGTERM);
}

/// The connections of a process that is about to take another's place.
#[derive(Debug)]
pub(in crate::cli::gateway) struct Coming {
    /// By app.
    pub(in crate::cli::gateway) lines: HashMap<ClientId, Line>,
}

impl Coming {
    /// Connects every robot, when the other process says so. Those at which messages arrive there must arrive here.
    pub(in crate::cli::gateway) async fn connect(
        upward: &mut Upward,
        robots: Vec<(String, ClientId, LineConfig)>,
    ) -> Result<Self, Failure> {
        let connected = upward.expect(|order| match order {
            Order::Begin { connected } => Some(connected.clone()),
            _ => None,
        });
        let connected = connected.await?;
        let clearance = watch::Sender::new(false);
        let mut lines = HashMap::new();
        let mut wanted = Vec::new();
        for (account, client_id, config) in robots {
            let line = Line::open(config, clearance.subscribe());
            if connected.iter().any(|id| id == client_id.as_str()) {
                wanted.push((account, client_id.clone()));
            }
            lines.insert(client_id, line);
        }
        let coming = Self { lines };
        let could = |state: &StreamState| {
            matches!(state, StreamState::Connecting { .. } | StreamState::Connected { .. })
        };
        coming.all(&wanted, TICKETS, could).await?;
        upward.report(Report::Prepared).await;
        upward.expect(|order| (*order == Order::Connect).then_some(())).await?;
        clearance.send_replace(true);
        let stands = |state: &StreamState| matches!(state, StreamState::Connected { .. });
        let since = coming.all(&wanted, CONNECT, stands).await?;
        upward.report(Report::Connected { since }).await;
        Ok(coming)
    }

    /// Waits until every wanted robot's stream is in such a state; when each came to be so.
    async fn all(
        &self,
        wanted: &[(String, ClientId)],
        patience: Duration,
        is_so: impl Fn(&StreamState) -> bool,
    ) -> Result<Vec<(String, i64)>, Failure> {
        let end = Instant::now() + patience;
        let one = async |(account, client_id): &(String, ClientId)| {
            let line = &self.lines[client_id];
            let mut state = line.state();
            let failed = |problem: String| {
                let message = format!("account {account} cannot connect: {problem}");
                Failure::new(ExitCode::NotConnected, message)
            };
            let settled = state.wait_for(|state| is_so(state) || refusal(state).is_some());
            match timeout_at(end, settled).await {
                Ok(Ok(state)) => match refusal(&state) {
                    Some(reason) => Err(failed(reason)),
                    None => Ok((client_id.as_str().to_owned(), now_ms())),
                },
                Ok(Err(_)) => Err(failed("its stream has ended".to_owned())),
                Err(_) => {
                    let last = line.life().report().outages.pop();
                    let time = humantime::format_duration(patience);
                    let problem = last.map_or("no answer".to_owned(), |last| last.reason);
                    Err(failed(format!("not within {time}: {problem}")))
                }
            }
        };
        futures_util::future::try_join_all(wanted.iter().map(one)).await
    }

    /// Waits until the addresses can be taken.
    pub(in crate::cli::gateway) async fn listens(upward: &mut Upward) -> Result<(), Failure> {
        upward.expect(|order| (*order == Order::Listen).then_some(())).await
    }

    /// Waits until directory and store are free; whether this process will be alone.
    pub(in crate::cli::gateway) async fn takes(upward: &mut Upward) -> Result<bool, Failure> {
        upward.report(Report::Listens).await;
        let takes = |order: &Order| match order {
            Order::Take { alone } => Some(*alone),
            _ => None,
        };
        upward.expect(takes).await
    }
}

/// Why a robot will not connect for long.
fn refusal(state: &StreamState) -> Option<String> {
    match state {
        StreamState::Waiting {
            outage: Outage::NoConnection(OpenFailure::Refused { reason }),
            ..
        } => Some(reason.clone()),
        _ => None,
    }
}
