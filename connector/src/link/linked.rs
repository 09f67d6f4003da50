//! What the link speaks for: the robots of a process, and the process itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::desk::Desk;
use crate::agent::AgentKind;
use crate::credential::ClientId;
use crate::gateway::Gateway;
use crate::gateway::inbox::Inbox;
use crate::gateway::push::Pusher;
use crate::gateway::schedules::Schedules;
use crate::gateway::vitals::Vitals;
use crate::store::StoreAddress;
use crate::stream::Hearing;
use crate::unix_time::now_ms;

/// A robot that the link speaks for.
#[derive(Debug)]
pub struct Robot {
    /// Name of its account.
    pub account: String,
    /// Its turns.
    pub desk: Arc<Desk>,
    /// Who answers it. Only those that attach have turns given to them.
    pub agent: AgentKind,
    /// What people miss with this agent.
    pub lacks: Option<&'static str>,
    /// Sends its pushes.
    pub pusher: Arc<Pusher>,
    /// What it sends at given times.
    pub schedules: Arc<Schedules>,
    /// Changes what becomes of its messages.
    pub inbox: Arc<Inbox>,
    /// How it is doing.
    pub vitals: Arc<Vitals>,
}

impl Robot {
    /// Of an account whose gateway has started.
    pub fn of(account: String, desk: Arc<Desk>, agent: AgentKind, gateway: &Gateway) -> Self {
        Self {
            account,
            desk,
            agent,
            lacks: None,
            pusher: gateway.pusher(),
            schedules: gateway.schedules(),
            inbox: gateway.inbox(),
            vitals: gateway.vitals(),
        }
    }
}

/// A robot that ought to be there and cannot start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Name of its account.
    pub account: String,
    /// Its app.
    pub client_id: ClientId,
    /// Why.
    pub problem: String,
}

/// The process, for whoever asks how it is.
#[derive(Debug, Clone)]
pub struct About {
    /// Its state directory.
    pub state_dir: PathBuf,
    /// Its store.
    pub store: StoreAddress,
    /// The config file it follows, if any.
    pub config: Option<PathBuf>,
    /// Where its log is kept, if anywhere.
    pub log: Option<PathBuf>,
    /// When it began, in milliseconds since 1970 UTC.
    pub started_at: i64,
    /// Whether systemd supervises it.
    pub systemd: bool,
}

impl About {
    /// A process that began now, without config file and log.
    pub fn new(state_dir: PathBuf, store: StoreAddress) -> Self {
        Self { state_dir, store, config: None, log: None, started_at: now_ms(), systemd: false }
    }
}

/// A restart that was asked for.
#[derive(Debug)]
pub struct RestartRequest {
    /// How long the other process may take until it is connected.
    pub patience: Duration,
    /// Hears what is told of it, or why it was not made.
    pub answer: oneshot::Sender<Result<Value, NotRestarted>>,
}

impl RestartRequest {
    /// Tells whoever asked, if anybody waits still.
    pub fn answer(self, outcome: Result<Value, NotRestarted>) {
        let _ = self.answer.send(outcome);
    }
}

/// The process goes on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRestarted {
    /// Why.
    pub problem: String,
    /// What whoever asked should exit with.
    pub exit_code: u8,
}

/// The robots of a link: each may be started again.
#[derive(Debug)]
pub struct Linked {
    about: About,
    robots: Mutex<Robots>,
    restarts: Option<mpsc::Sender<RestartRequest>>,
}

#[derive(Debug, Default)]
struct Robots {
    at_work: Vec<Arc<Robot>>,
    missing: Vec<Missing>,
}

impl Linked {
    /// Of no robots yet. Requests to restart go to `restarts`, if anybody there hears them.
    pub fn new(about: About, restarts: Option<mpsc::Sender<RestartRequest>>) -> Self {
        Self { about, robots: Mutex::default(), restarts }
    }

    /// Adds a robot, in the place of an earlier one of its app.
    pub fn put(&self, robot: Robot) {
        let mut robots = self.robots();
        robots.missing.retain(|missing| missing.client_id != *robot.desk.client_id());
        let robot = Arc::new(robot);
        match robots.at_work.iter_mut().find(|old| old.desk.client_id() == robot.desk.client_id()) {
            Some(old) => *old = robot,
            None => robots.at_work.push(robot),
        }
    }

    /// A robot cannot start, or not again.
    pub fn miss(&self, missing: Missing) {
        let mut robots = self.robots();
        robots.missing.retain(|old| old.client_id != missing.client_id);
        robots.missing.push(missing);
    }

    /// A robot is not wanted any more.
    pub fn remove(&self, client_id: &ClientId) {
        let mut robots = self.robots();
        robots.at_work.retain(|robot| robot.desk.client_id() != client_id);
        robots.missing.retain(|missing| missing.client_id != *client_id);
    }

    /// Since when no robot has had an agent attached; `None` while one has, or before there are robots.
    pub fn alone_since(&self) -> Option<Instant> {
        let robots = self.all();
        let since: Option<Vec<_>> = robots.iter().map(|robot| robot.desk.alone_since()).collect();
        since?.into_iter().max()
    }

    pub(super) fn all(&self) -> Vec<Arc<Robot>> {
        self.robots().at_work.clone()
    }

    pub(super) fn missing(&self) -> Vec<Missing> {
        self.robots().missing.clone()
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    /// The apps of the robots at which messages can arrive.
    pub fn hearing(&self) -> Vec<ClientId> {
        let robots = self.all().into_iter();
        let hearing = robots.filter(|robot| robot.vitals.hearing() == Hearing::Hears);
        hearing.map(|robot| robot.desk.client_id().clone()).collect()
    }

    /// Ends the streams of attached agents, which attach again to whoever has the address then.
    pub fn let_agents_go(&self) {
        for robot in self.all() {
            robot.desk.let_go();
        }
    }

    /// Asks the process to leave its place to another one.
    pub(super) async fn restart(&self, patience: Duration) -> Result<Value, NotRestarted> {
        let (answer, answered) = oneshot::channel();
        let request = RestartRequest { patience, answer };
        if let Some(restarts) = &self.restarts
            && restarts.send(request).await.is_ok()
            && let Ok(answer) = answered.await
        {
            return answer;
        }
        let problem = "this process cannot restart; it is no `ddingtalk gateway`, or it stops";
        Err(NotRestarted { problem: problem.to_owned(), exit_code: 1 })
    }

    fn robots(&self) -> MutexGuard<'_, Robots> {
        self.robots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
