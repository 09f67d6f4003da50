//! Takes runs that are due, and begins them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{Instrument, info, warn};

use super::busy::{Busy, Running};
use super::run::Perform;
use crate::agent::Say;
use crate::credential::ClientId;
use crate::schedule::{Plan, plan};
use crate::store::schedules::{Claim, RunId, RunState, Schedule, ScheduleId, Unended};
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

/// How often it is looked whether something is due, at least: the clock may have been set.
const LOOK: Duration = Duration::from_secs(30);
/// Runs that were interrupted longer ago, in milliseconds, are given up: keys of pushes do not live for ever.
pub(super) const RESUMED_MS: i64 = 24 * 3_600 * 1_000;

/// Takes runs, and does them.
#[derive(Debug)]
pub(super) struct Scheduler<P> {
    pub(super) client_id: ClientId,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) performer: P,
    /// Those that are being run.
    pub(super) busy: Busy,
    /// Something else may be due first.
    pub(super) changed: Notify,
}

impl<P: Perform> Scheduler<P> {
    pub(super) fn new(
        client_id: ClientId,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        performer: P,
    ) -> Self {
        let (busy, changed) = (Busy::default(), Notify::new());
        Self { client_id, store, clock, performer, busy, changed }
    }

    pub(super) fn pause(&self, next: Option<i64>) -> Duration {
        let wait = next.map_or(i64::MAX, |next| next.saturating_sub(self.clock.now()));
        Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LOOK)
    }

    /// Goes on with what an earlier process began.
    pub(super) async fn resume(self: &Arc<Self>, runs: &mut JoinSet<()>) -> Result<(), StoreError> {
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
    pub(super) async fn fire_due(
        self: &Arc<Self>,
        runs: &mut JoinSet<()>,
    ) -> Result<Option<i64>, StoreError> {
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
}
