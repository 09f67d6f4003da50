//! What is to be done at given times, and what was done. Times are milliseconds since 1970 UTC.

use serde::{Deserialize, Serialize};

use super::Pending;
use crate::agent::Say;
use crate::credential::ClientId;
use crate::schedule::{Missed, Plan, Timing};

/// The part of a store that keeps schedules.
pub trait ScheduleStore {
    /// Keeps a schedule.
    fn add_schedule(&self, schedule: NewSchedule) -> Pending<ScheduleId>;

    /// All of an app, in the order they were added.
    fn schedules(&self, client_id: &ClientId) -> Pending<Vec<Schedule>>;

    /// Forgets one with all its runs; returns whether there was one.
    fn remove_schedule(&self, client_id: &ClientId, id: ScheduleId) -> Pending<bool>;

    /// Switches one on or off; it is due `next`. Returns whether there is one.
    fn switch_schedule(
        &self,
        client_id: &ClientId,
        id: ScheduleId,
        enabled: bool,
        next: Option<i64>,
    ) -> Pending<bool>;

    /// Takes the runs of a plan for this process, before anything of them is done: all of them begin, or, if
    /// `busy`, are left out. `None` if the schedule is not `due` then any more, so that a run is taken once,
    /// whoever asks.
    fn claim_runs(&self, claim: Claim) -> Pending<Option<Vec<RunId>>>;

    /// Begins a run that nobody planned. `None` if there is no such schedule.
    fn begin_run(&self, client_id: &ClientId, id: ScheduleId, now: i64) -> Pending<Option<RunId>>;

    /// Keeps what is to be sent, before anything of it is.
    fn run_says(&self, run: RunId, says: Vec<Say>) -> Pending<()>;

    /// A run is over.
    fn end_run(&self, run: RunId, state: RunState, detail: Option<String>, now: i64)
    -> Pending<()>;

    /// Runs of an app that an earlier process began and did not end.
    fn unended_runs(&self, client_id: &ClientId) -> Pending<Vec<Unended>>;

    /// The newest runs of a schedule, newest first. The last 100 are kept.
    fn runs(&self, client_id: &ClientId, id: ScheduleId, at_most: usize) -> Pending<Vec<Run>>;
}

/// Ended runs of a schedule that are kept.
pub const RUNS: i64 = 100;

/// Names a schedule; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleId(pub i64);

/// Names a run; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub i64);

/// What is done at each run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    /// These words are sent.
    Text(String),
    /// The agent is asked this, and what it says is sent.
    Agent(String),
}

/// A schedule to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// The app that sends.
    pub client_id: ClientId,
    /// What people call it.
    pub name: Option<String>,
    /// When.
    pub timing: Timing,
    /// To whom, as recipients of pushes are written.
    pub to: String,
    /// What.
    pub task: Task,
    /// What becomes of missed runs.
    pub missed: Missed,
    /// When it was made.
    pub created_at: i64,
    /// When it is due first.
    pub next_at: Option<i64>,
}

/// A schedule that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Names it.
    pub id: ScheduleId,
    /// What people call it.
    pub name: Option<String>,
    /// When.
    pub timing: Timing,
    /// To whom.
    pub to: String,
    /// What.
    pub task: Task,
    /// What becomes of missed runs.
    pub missed: Missed,
    /// Whether it runs.
    pub enabled: bool,
    /// When it was made.
    pub created_at: i64,
    /// When it is due, if it ever is again.
    pub next_at: Option<i64>,
}

/// Runs to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Their schedule.
    pub schedule: ScheduleId,
    /// When it was due.
    pub due: i64,
    /// What is to be done.
    pub plan: Plan,
    /// An earlier run still goes on, so that nothing is.
    pub busy: bool,
    /// Now.
    pub now: i64,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It goes on, or a restart interrupts it.
    Running,
    /// All was sent.
    Done,
    /// Not all was sent.
    Failed,
    /// Its time passed while nobody could do it.
    Missed,
    /// An earlier run went on at its time.
    Busy,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Done, Self::Failed, Self::Missed, Self::Busy];

    /// Its name, as it is kept and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Busy => "busy",
        }
    }
}

/// A run that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Names it.
    pub id: RunId,
    /// When it was due.
    pub due_at: i64,
    /// When it began, or was left out.
    pub begun_at: i64,
    /// When it was over.
    pub ended_at: Option<i64>,
    /// How far it has come.
    pub state: RunState,
    /// What became of it, or why it failed.
    pub detail: Option<String>,
}

/// A run that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unended {
    /// Names it.
    pub run: RunId,
    /// Its schedule.
    pub schedule: Schedule,
    /// When it began.
    pub begun_at: i64,
    /// What is to be sent, where that was known already.
    pub says: Option<Vec<Say>>,
}
