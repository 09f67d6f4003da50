//! Does what is scheduled: each run once, over restarts too.
//!
//! A run is taken in one transaction with the schedule's next time, before anything of it is done, and what it
//! sends is kept before it is sent, under keys of its own. A restart goes on with what is not over: what was
//! not sent is, and what may have been is not sent again.

mod perform;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, error, info, warn};

pub(super) use self::perform::Robot;

use super::push::{Target, TargetError};
use super::work::{Halt, keep_trying};
use crate::agent::Say;
use crate::credential::ClientId;
use crate::schedule::{Missed, Plan, Timing, TimingError, plan};
use crate::store::schedules::{
    Claim, NewSchedule, Run, RunId, RunState, Schedule, ScheduleId, Task, Unended,
};
use crate::store::{Store, StoreError};
use crate::unix_time::now_ms;

/// Tells the time.
pub(super) trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Milliseconds since 1970 UTC.
    fn now(&self) -> i64;
}

/// The clock of this machine.
#[derive(Debug)]
pub(super) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> i64 {
        now_ms()
    }
}

/// What runs are made of.
pub(super) trait Perform: fmt::Debug + Send + Sync + 'static {
    /// Asks the agent, in a session that is the run's own.
    fn ask(
        &self,
        schedule: &Schedule,
        run: RunId,
        prompt: &str,
    ) -> impl Future<Output = Result<Vec<Say>, String>> + Send;

    /// Sends. What was sent under the same key is not sent again.
    fn push(
        &self,
        to: Target,
        say: Say,
        key: String,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// A schedule cannot be made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Its times cannot be read.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// Its times never come.
    #[error("nothing is ever due at these times: {0}; give times to come")]
    Never(String),
    /// Its recipient cannot be read.
    #[error("to is {0:?}; {TargetError}")]
    Target(String),
    /// There are as many as may be.
    #[error("there are {MOST} schedules already, which is all there may be; remove some")]
    TooMany,
    /// There is none.
    #[error("there is no schedule {0}; see `ddingtalk cron list`")]
    Unknown(i64),
    /// It runs.
    #[error("schedule {0} is being run; try again when that is over")]
    Busy(i64),
    /// Another process of the robot runs them.
    #[error(
        "schedules run in another process of this robot; give the command where `ddingtalk gateway status` says \
         that schedules run"
    )]
    Elsewhere,
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Schedules of one app.
const MOST: usize = 1_000;
/// How often it is looked whether something is due, at least: the clock may have been set.
const LOOK: Duration = Duration::from_secs(30);
/// Before a store that failed is asked again.
const PAUSE: Duration = Duration::from_secs(10);
/// Runs that were interrupted longer ago, in milliseconds, are given up: keys of pushes do not live for ever.
const RESUMED_MS: i64 = 24 * 3_600 * 1_000;

/// The schedules of one robot.
#[derive(Debug)]
pub struct Schedules {
    scheduler: Arc<Scheduler<Robot>>,
    /// Whether runs begin in this process, where several work at the robot.
    leads: Option<watch::Receiver<bool>>,
}

/// Takes runs, and does them.
#[derive(Debug)]
struct Scheduler<P> {
    client_id: ClientId,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    performer: P,
    /// Those that are being run.
    busy: Busy,
    /// Something else may be due first.
    changed: Notify,
}

/// Schedules that are being run, and whether it was said of them that this leaves runs out.
#[derive(Debug, Clone, Default)]
struct Busy(Arc<Mutex<HashMap<ScheduleId, bool>>>);

/// A schedule that is being run, until this is dropped.
struct Running {
    busy: Busy,
    id: ScheduleId,
}

impl Busy {
    /// Marks one, unless it is.
    fn begin(&self, id: ScheduleId) -> Option<Running> {
        match self.lock().entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(false);
                Some(Running { busy: self.clone(), id })
            }
        }
    }

    /// Whether it is to be said that one leaves runs out, which is so once.
    fn is_news(&self, id: ScheduleId) -> bool {
        self.lock().get_mut(&id).is_some_and(|told| !std::mem::replace(told, true))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ScheduleId, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.busy.lock().remove(&self.id);
    }
}

/// A schedule as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What people call it.
    pub name: Option<String>,
    /// When.
    pub timing: Timing,
    /// To whom.
    pub to: Target,
    /// What.
    pub task: Task,
    /// What becomes of missed runs.
    pub missed: Missed,
}

impl Schedules {
    /// Runs begin while this process `leads`, where several work at the robot.
    pub(super) fn new(
        client_id: ClientId,
        store: Arc<dyn Store>,
        robot: Robot,
        leads: Option<watch::Receiver<bool>>,
    ) -> Self {
        let scheduler = Arc::new(Scheduler::new(client_id, store, Arc::new(WallClock), robot));
        Self { scheduler, leads }
    }

    /// Other processes have changed them.
    pub(super) fn look_again(&self) {
        self.scheduler.changed.notify_one();
    }

    /// Whether any is being run.
    pub(super) fn are_running(&self) -> bool {
        !self.scheduler.busy.lock().is_empty()
    }

    fn lead(&self) -> bool {
        self.leads.as_ref().is_none_or(|leads| *leads.borrow())
    }

    /// Runs what is due until the `deadline` is set; what is being sent then has until it has passed.
    pub(super) async fn keep(self: Arc<Self>, mut deadline: watch::Receiver<Option<Instant>>) {
        let scheduler = &self.scheduler;
        let (mut runs, mut leads) = (JoinSet::new(), self.leads.clone());
        let mut resumed = false;
        loop {
            if !self.lead() {
                // Another process goes on with them.
                runs.shutdown().await;
                resumed = false;
                tokio::select! {
                    () = becomes(&mut leads, true) => continue,
                    _ = deadline.wait_for(Option::is_some) => break,
                }
            }
            let done = async {
                if !resumed {
                    scheduler.resume(&mut runs).await?;
                    resumed = true;
                }
                scheduler.fire_due(&mut runs).await
            };
            let pause = match done.await {
                Ok(next) => scheduler.pause(next),
                Err(StoreError::Closed) => return,
                Err(e) => {
                    error!("schedules wait, since the store fails: {e}");
                    PAUSE
                }
            };
            while runs.try_join_next().is_some() {}
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = scheduler.changed.notified() => {}
                () = becomes(&mut leads, false) => {}
                _ = deadline.wait_for(Option::is_some) => break,
            }
        }
        let until = *deadline.borrow();
        // What is not over then is gone on with by the next start.
        let settled = scheduler.performer.settle();
        let _ = tokio::time::timeout_at(until.unwrap_or_else(Instant::now).into(), settled).await;
    }

    /// Makes one.
    pub async fn add(&self, wanted: Wanted) -> Result<Schedule, ScheduleError> {
        self.scheduler.add(wanted).await
    }

    /// All of them.
    pub async fn list(&self) -> Result<Vec<Schedule>, ScheduleError> {
        Ok(self.scheduler.store.schedules(&self.scheduler.client_id).await?)
    }

    /// Forgets one. A run that goes on ends as it would have.
    pub async fn remove(&self, id: ScheduleId) -> Result<(), ScheduleError> {
        let Scheduler { store, client_id, .. } = &*self.scheduler;
        if store.remove_schedule(client_id, id).await? {
            return Ok(());
        }
        Err(ScheduleError::Unknown(id.0))
    }

    /// Switches one on or off. What it missed meanwhile is not made up.
    pub async fn switch(&self, id: ScheduleId, enabled: bool) -> Result<Schedule, ScheduleError> {
        self.scheduler.switch(id, enabled).await
    }

    /// Runs one now, whether it is due or not, to its end.
    pub async fn run(&self, id: ScheduleId) -> Result<Run, ScheduleError> {
        // The process that leads would take an unfinished run for one that nobody does any more.
        if !self.lead() {
            return Err(ScheduleError::Elsewhere);
        }
        self.scheduler.run_now(id).await
    }

    /// The newest runs of one, newest first.
    pub async fn runs(&self, id: ScheduleId, at_most: usize) -> Result<Vec<Run>, ScheduleError> {
        self.scheduler.find(id).await?;
        Ok(self.scheduler.store.runs(&self.scheduler.client_id, id, at_most).await?)
    }

    /// The time that counts, in milliseconds since 1970 UTC.
    pub fn now(&self) -> i64 {
        self.scheduler.clock.now()
    }
}

/// Waits until this process leads, or does not; nothing changes where it is alone.
async fn becomes(leads: &mut Option<watch::Receiver<bool>>, leading: bool) {
    if let Some(leads) = leads
        && leads.wait_for(|leads| *leads == leading).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

impl<P: Perform> Scheduler<P> {
    fn new(
        client_id: ClientId,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        performer: P,
    ) -> Self {
        let (busy, changed) = (Busy::default(), Notify::new());
        Self { client_id, store, clock, performer, busy, changed }
    }

    fn pause(&self, next: Option<i64>) -> Duration {
        let wait = next.map_or(i64::MAX, |next| next.saturating_sub(self.clock.now()));
        Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LOOK)
    }

    /// Goes on with what an earlier process began.
    async fn resume(self: &Arc<Self>, runs: &mut JoinSet<()>) -> Result<(), StoreError> {
        let mut left: BTreeMap<ScheduleId, (Schedule, Vec<_>)> = BTreeMap::new();
        for Unended { run, schedule, begun_at, says } in
            self.store.unended_runs(&self.client_id).await?
        {
            let now = self.clock.now();
            if now.saturating_sub(begun_at) > RESUMED_MS {
                let detail = "interrupted by a restart, too long ago to go on".to_owned();
                self.store.end_run(run, RunState::Failed, Some(detail), now).await?;
                continue;
            }
            let (_, of_one) = left.entry(schedule.id).or_insert_with(|| (schedule, Vec::new()));
            of_one.push((run, says));
        }
        for (schedule, of_one) in left.into_values() {
            info!(schedule = schedule.id.0, runs = of_one.len(), "interrupted runs go on");
            if let Some(running) = self.busy.begin(schedule.id) {
                self.start(running, schedule, of_one, runs);
            }
        }
        Ok(())
    }

    /// Does runs of one schedule, one after the other.
    fn start(
        self: &Arc<Self>,
        running: Running,
        schedule: Schedule,
        of_one: Vec<(RunId, Option<Vec<Say>>)>,
        runs: &mut JoinSet<()>,
    ) {
        let scheduler = Arc::clone(self);
        let work = async move {
            for (run, says) in of_one {
                // Without a store everything ends.
                if scheduler.perform(&schedule, run, says).await.is_err() {
                    break;
                }
            }
            drop(running);
        };
        runs.spawn(work.in_current_span());
    }

    /// Begins what is due; returns when something is due next.
    async fn fire_due(self: &Arc<Self>, runs: &mut JoinSet<()>) -> Result<Option<i64>, StoreError> {
        let mut earliest = None;
        for schedule in self.store.schedules(&self.client_id).await? {
            let Some(due) = schedule.next_at.filter(|_| schedule.enabled) else { continue };
            let now = self.clock.now();
            let plan = match plan(&schedule.timing, schedule.missed, due, now) {
                Ok(plan) => plan,
                Err(e) => {
                    warn!(schedule = schedule.id.0, "a schedule cannot run: {e}");
                    continue;
                }
            };
            let next = match plan {
                None => Some(due),
                Some(plan) => {
                    let next = plan.next;
                    self.fire(schedule, (due, now), plan, runs).await?;
                    next
                }
            };
            earliest = [earliest, next].into_iter().flatten().min();
        }
        Ok(earliest)
    }

    async fn fire(
        self: &Arc<Self>,
        schedule: Schedule,
        (due, now): (i64, i64),
        plan: Plan,
        runs: &mut JoinSet<()>,
    ) -> Result<(), StoreError> {
        let id = schedule.id;
        let running = self.busy.begin(id);
        let claim = Claim { schedule: id, due, plan, busy: running.is_none(), now };
        let claimed = self.store.claim_runs(claim).await?.unwrap_or_default();
        let Some(running) = running else {
            if self.busy.is_news(id) {
                warn!(schedule = id.0, "runs are left out as long as an earlier one goes on");
            }
            return Ok(());
        };
        if !claimed.is_empty() {
            let claimed = claimed.into_iter().map(|run| (run, None)).collect();
            self.start(running, schedule, claimed, runs);
        }
        Ok(())
    }

    /// Does a run to its end. `says` is what is to be sent, where that was known before a restart.
    async fn perform(
        &self,
        schedule: &Schedule,
        run: RunId,
        says: Option<Vec<Say>>,
    ) -> Result<(), Halt> {
        let outcome = self.send(schedule, run, says).await?;
        let (state, detail) = match outcome {
            Ok(detail) => (RunState::Done, detail),
            Err(reason) => (RunState::Failed, Some(reason)),
        };
        let (schedule, name) = (schedule.id.0, schedule.name.as_deref());
        if let (RunState::Done, Some(detail)) = (state, &detail) {
            warn!(schedule, name, "a schedule was run, and nothing was sent: {detail}");
        } else if state == RunState::Done {
            info!(schedule, name, "a schedule was run");
        } else {
            let reason = detail.as_deref().unwrap_or_default();
            error!(schedule, name, "a scheduled run failed: {reason}");
        }
        let now = self.clock.now();
        keep_trying(|| self.store.end_run(run, state, detail.clone(), now)).await
    }

    async fn send(
        &self,
        schedule: &Schedule,
        run: RunId,
        says: Option<Vec<Say>>,
    ) -> Result<Result<Option<String>, String>, Halt> {
        let Ok(to) = schedule.to.parse::<Target>() else {
            return Ok(Err(ScheduleError::Target(schedule.to.clone()).to_string()));
        };
        let says = match (says, &schedule.task) {
            (Some(says), _) => says,
            (None, Task::Text(text)) => vec![Say::of_words(text.clone())],
            (None, Task::Agent(prompt)) => {
                let says = match self.performer.ask(schedule, run, prompt).await {
                    Ok(says) => says,
                    Err(reason) => return Ok(Err(format!("the agent failed: {reason}"))),
                };
                // An agent that is asked again may say something else.
                keep_trying(|| self.store.run_says(run, says.clone())).await?;
                says
            }
        };
        if says.is_empty() {
            return Ok(Ok(Some("the agent said nothing".to_owned())));
        }
        for (index, say) in says.into_iter().enumerate() {
            let key = format!("schedule {} run {} part {}", schedule.id.0, run.0, index + 1);
            if let Err(reason) = self.performer.push(to.clone(), say, key).await {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(None))
    }

    async fn add(&self, wanted: Wanted) -> Result<Schedule, ScheduleError> {
        let Wanted { name, timing, to, task, missed } = wanted;
        if self.store.schedules(&self.client_id).await?.len() >= MOST {
            return Err(ScheduleError::TooMany);
        }
        let now = self.clock.now();
        let next = match &timing {
            // What is due at this very moment is not past.
            Timing::At { at } => Some(*at),
            timing => timing.after(now)?,
        };
        let Some(next) = next else { return Err(ScheduleError::Never(timing.words())) };
        let new = NewSchedule {
            client_id: self.client_id.clone(),
            name,
            timing,
            to: to.to_string(),
            task,
            missed,
            created_at: now,
            next_at: Some(next),
        };
        let id = self.store.add_schedule(new).await?;
        self.changed.notify_one();
        self.find(id).await
    }

    async fn find(&self, id: ScheduleId) -> Result<Schedule, ScheduleError> {
        let all = self.store.schedules(&self.client_id).await?;
        all.into_iter().find(|one| one.id == id).ok_or(ScheduleError::Unknown(id.0))
    }

    async fn switch(&self, id: ScheduleId, enabled: bool) -> Result<Schedule, ScheduleError> {
        let schedule = self.find(id).await?;
        let next = schedule.timing.after(self.clock.now())?;
        if enabled && next.is_none() {
            return Err(ScheduleError::Never(schedule.timing.words()));
        }
        if !self.store.switch_schedule(&self.client_id, id, enabled, next).await? {
            return Err(ScheduleError::Unknown(id.0));
        }
        self.changed.notify_one();
        self.find(id).await
    }

    async fn run_now(&self, id: ScheduleId) -> Result<Run, ScheduleError> {
        let schedule = self.find(id).await?;
        let Some(running) = self.busy.begin(id) else { return Err(ScheduleError::Busy(id.0)) };
        let begun = self.store.begin_run(&self.client_id, id, self.clock.now()).await?;
        let run = begun.ok_or(ScheduleError::Unknown(id.0))?;
        self.perform(&schedule, run, None).await.map_err(|_| StoreError::Closed)?;
        drop(running);
        let runs = self.store.runs(&self.client_id, id, usize::MAX).await?;
        runs.into_iter().find(|one| one.id == run).ok_or(ScheduleError::Unknown(id.0))
    }
}
