//! What people do to schedules.

use super::run::Perform;
use super::scheduler::Scheduler;
use super::{ScheduleError, Wanted};
use crate::schedule::Timing;
use crate::store::StoreError;
use crate::store::schedules::{NewSchedule, Run, Schedule, ScheduleId};

/// Schedules of one app.
pub(super) const MOST: usize = 1_000;

impl<P: Perform> Scheduler<P> {
    pub(super) async fn add(&self, wanted: Wanted) -> Result<Schedule, ScheduleError> {
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

    pub(super) async fn find(&self, id: ScheduleId) -> Result<Schedule, ScheduleError> {
        let all = self.store.schedules(&self.client_id).await?;
        all.into_iter().find(|one| one.id == id).ok_or(ScheduleError::Unknown(id.0))
    }

    pub(super) async fn switch(
        &self,
        id: ScheduleId,
        enabled: bool,
    ) -> Result<Schedule, ScheduleError> {
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

    pub(super) async fn run_now(&self, id: ScheduleId) -> Result<Run, ScheduleError> {
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
