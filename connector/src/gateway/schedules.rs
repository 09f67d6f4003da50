//! Does what is scheduled: each run once, over restarts too.
//!
//! A run is taken in one transaction with the schedule's next time, before anything of it is done, and what it
//! sends is kept before it is sent, under keys of its own. A restart goes on with what is not over: what was
//! not sent is, and what may have been is not sent again.

mod busy;
mod change;
mod perform;
mod run;
mod scheduler;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;

use self::change::MOST;
pub(super) use self::perform::Robot;
use self::scheduler::{Scheduler, WallClock};
use super::push::{Target, TargetError};
use crate::credential::ClientId;
use crate::schedule::{Missed, Timing, TimingError};
use crate::store::schedules::{Run, Schedule, ScheduleId, Task};
use crate::store::{Store, StoreError};

/// Before a store that failed is asked again.
const PAUSE: Duration = Duration::from_secs(10);

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

/// The schedules of one robot.
#[derive(Debug)]
pub struct Schedules {
    scheduler: Arc<Scheduler<Robot>>,
    /// Whether runs begin in this process, where several work at the robot.
    leads: Option<watch::Receiver<bool>>,
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
        self.scheduler.busy.is_any()
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
