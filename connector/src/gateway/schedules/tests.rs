//! Runs against a store on disk, a clock that is set, and a robot that breaks off.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};

use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::run::Perform;
use super::scheduler::{Clock, RESUMED_MS};
use super::*;
use crate::agent::Say;
use crate::store::pushes::{NewPush, PushStore};
use crate::store::schedules::{RunId, RunState};
use crate::store::sqlite::{FILE, SqliteStore};
use crate::unix_time::now_ms;

const MINUTE: i64 = 60_000;

/// A clock that goes on when it is told to.
#[derive(Debug, Clone)]
struct SetClock(Arc<AtomicI64>);

impl Clock for SetClock {
    fn now(&self) -> i64 {
        self.0.load(SeqCst)
    }
}

/// Sends as pushes do: their keys are kept before and after. What is sent outlives the process.
#[derive(Debug, Clone)]
struct Hands {
    store: Arc<SqliteStore>,
    sent: Arc<Mutex<Vec<(String, Say)>>>,
    asked: Arc<AtomicUsize>,
    /// Sends wait here.
    gate: Arc<Semaphore>,
    fails: Arc<AtomicBool>,
}

impl Perform for Hands {
    async fn ask(&self, _: &Schedule, _: RunId, prompt: &str) -> Result<Vec<Say>, String> {
        let time = self.asked.fetch_add(1, SeqCst) + 1;
        if prompt == "fail" {
            return Err("it cannot".to_owned());
        }
        Ok(vec![Say::text(format!("{prompt} {time}")), Say::text("more")])
    }

    async fn push(&self, _: Target, say: Say, key: String) -> Result<(), String> {
        if self.fails.load(SeqCst) {
            return Err("no such recipient".to_owned());
        }
        drop(self.gate.acquire().await);
        let push =
            NewPush { client_id: app(), key: key.clone(), digest: say.words(), at: now_ms() };
        match self.store.begin_push(push).await.map_err(|e| e.to_string())? {
            Some(kept) if kept.digest != say.words() => return Err("another message".to_owned()),
            Some(kept) if kept.outcomes.is_some() => return Ok(()),
            Some(_) => return Err("interrupted".to_owned()),
            None => {}
        }
        tokio::task::yield_now().await;
        self.sent.lock().unwrap().push((key.clone(), say));
        tokio::task::yield_now().await;
        let ended = self.store.end_push(&app(), &key, "[]".to_owned()).await;
        ended.map_err(|e| e.to_string())
    }
}

fn app() -> ClientId {
    ClientId::new("app")
}

/// What outlives a restart.
struct World {
    dir: tempfile::TempDir,
    clock: SetClock,
    sent: Arc<Mutex<Vec<(String, Say)>>>,
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    fails: Arc<AtomicBool>,
}

/// One process.
struct Process {
    scheduler: Arc<Scheduler<Hands>>,
    runs: JoinSet<()>,
}

impl World {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: SetClock(Arc::new(AtomicI64::new(1_000 * MINUTE))),
            sent: Arc::default(),
            asked: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            fails: Arc::default(),
        }
    }

    fn start(&self) -> Process {
        let store = Arc::new(SqliteStore::open(&self.dir.path().join(FILE)).unwrap());
        let hands = Hands {
            store: Arc::clone(&store),
            sent: Arc::clone(&self.sent),
            asked: Arc::clone(&self.asked),
            gate: Arc::clone(&self.gate),
            fails: Arc::clone(&self.fails),
        };
        let scheduler = Scheduler::new(app(), store, Arc::new(self.clock.clone()), hands);
        Process { scheduler: Arc::new(scheduler), runs: JoinSet::new() }
    }

    fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, SeqCst);
    }

    fn words(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|(_, say)| say.words()).collect()
    }
}

impl Process {
    async fn add(&self, timing: Timing, task: Task, missed: Missed) -> ScheduleId {
        let to = "user0001".parse().unwrap();
        let wanted = Wanted { name: None, timing, to, task, missed };
        self.scheduler.add(wanted).await.unwrap().id
    }

    /// Does what is due to its end; returns when something is due next.
    async fn work(&mut self) -> Option<i64> {
        let next = self.scheduler.fire_due(&mut self.runs).await.unwrap();
        self.settle().await;
        next
    }

    async fn settle(&mut self) {
        while let Some(ended) = self.runs.join_next().await {
            ended.unwrap();
        }
    }

    /// Newest first.
    async fn states(&self, id: ScheduleId) -> Vec<RunState> {
        let runs = self.scheduler.store.runs(&app(), id, 99).await.unwrap();
        runs.into_iter().map(|run| run.state).collect()
    }

    /// Breaks off.
    async fn crash(mut self) {
        self.runs.shutdown().await;
    }
}

fn every(minutes: i64, from: &World) -> Timing {
    Timing::Every { ms: minutes * MINUTE, from: from.clock.now() }
}

fn text(words: &str) -> Task {
    Task::Text(words.to_owned())
}

#[tokio::test]
async fn what_is_due_is_sent_once_and_what_was_missed_as_the_policy_has_it() {
    let world = World::new();
    let mut process = world.start();
    let mut ids = Vec::new();
    for missed in [Missed::Skip, Missed::Once, Missed::All] {
        let name = format!("{missed:?}");
        ids.push(process.add(every(60, &world), text(&name), missed).await);
    }
    let at = Timing::At { at: world.clock.now() + 90 * MINUTE };
    ids.push(process.add(at, text("at"), Missed::Once).await);
    assert_eq!(process.work().await, Some(world.clock.now() + 60 * MINUTE));
    assert!(world.words().is_empty());
    world.pass(60 * MINUTE);
    assert_eq!(process.work().await, Some(world.clock.now() + 30 * MINUTE));
    assert_eq!(process.work().await, Some(world.clock.now() + 30 * MINUTE), "once");
    let mut words = world.words();
    words.sort();
    assert_eq!(words, ["All", "Once", "Skip"]);
    world.sent.lock().unwrap().clear();
    process.crash().await;

    world.pass(130 * MINUTE);
    let mut process = world.start();
    process.work().await;
    let mut words = world.words();
    words.sort();
    assert_eq!(words, ["All", "All", "Once", "at"]);
    assert_eq!(process.states(ids[0]).await, [RunState::Missed, RunState::Done]);
    assert_eq!(process.states(ids[3]).await, [RunState::Done]);
    let over = process.scheduler.find(ids[3]).await.unwrap();
    assert_eq!((over.next_at, over.enabled), (None, true));
}

#[tokio::test]
async fn an_agent_is_asked_once_whatever_breaks_off_after_it() {
    let world = World::new();
    let mut process = world.start();
    let prompt = Task::Agent("news".to_owned());
    let id = process.add(every(1, &world), prompt, Missed::Once).await;
    world.pass(MINUTE);
    let held = world.gate.forget_permits(Semaphore::MAX_PERMITS);
    process.scheduler.fire_due(&mut process.runs).await.unwrap();
    let kept = || async {
        let left = process.scheduler.store.unended_runs(&app()).await.unwrap();
        left.first().is_some_and(|left| left.says.is_some())
    };
    while !kept().await {}
    process.crash().await;
    world.gate.add_permits(held);
    let mut process = world.start();
    process.scheduler.resume(&mut process.runs).await.unwrap();
    process.settle().await;
    assert_eq!(world.words(), ["news 1", "more"]);
    assert_eq!(process.states(id).await, [RunState::Done]);
    process.scheduler.resume(&mut process.runs).await.unwrap();
    process.settle().await;
    assert_eq!(world.words().len(), 2, "it is over");
}

#[tokio::test]
async fn what_was_interrupted_long_ago_and_what_fails_is_told_in_the_history() {
    let world = World::new();
    let mut process = world.start();
    let id = process.add(every(1, &world), Task::Agent("fail".to_owned()), Missed::Once).await;
    world.pass(MINUTE);
    process.work().await;
    world.fails.store(true, SeqCst);
    let words = process.add(every(1, &world), text("hi"), Missed::Once).await;
    let run = process.scheduler.run_now(words).await.unwrap();
    assert_eq!((run.state, run.detail.as_deref()), (RunState::Failed, Some("no such recipient")));
    process.scheduler.store.begin_run(&app(), words, world.clock.now()).await.unwrap();
    world.pass(RESUMED_MS + 1);
    process.scheduler.resume(&mut process.runs).await.unwrap();
    process.settle().await;
    let runs = process.scheduler.store.runs(&app(), words, 1).await.unwrap();
    assert!(runs[0].detail.as_deref().unwrap().contains("too long ago"), "{runs:?}");
    let runs = process.scheduler.store.runs(&app(), id, 9).await.unwrap();
    assert_eq!(runs[0].detail.as_deref(), Some("the agent failed: it cannot"));
    assert!(world.words().is_empty());
}

#[tokio::test]
async fn one_that_still_runs_leaves_the_next_run_out() {
    let world = World::new();
    let mut process = world.start();
    let id = process.add(every(1, &world), text("slow"), Missed::Once).await;
    world.pass(MINUTE);
    let held = world.gate.forget_permits(Semaphore::MAX_PERMITS);
    process.scheduler.fire_due(&mut process.runs).await.unwrap();
    assert_eq!(process.scheduler.run_now(id).await, Err(ScheduleError::Busy(id.0)));
    // However long it goes on, history keeps what came before, and the log says it once.
    for _ in 0..150 {
        world.pass(MINUTE);
        process.scheduler.fire_due(&mut process.runs).await.unwrap();
    }
    assert_eq!(process.states(id).await, [RunState::Busy, RunState::Running]);
    let runs = process.scheduler.store.runs(&app(), id, 1).await.unwrap();
    assert_eq!(runs[0].due_at, world.clock.now(), "the last one that was left out");
    assert!(!process.scheduler.busy.is_news(id));
    world.gate.add_permits(held);
    process.settle().await;
    assert_eq!(world.words(), ["slow"]);
    assert_eq!(process.scheduler.run_now(id).await.unwrap().state, RunState::Done);
}

#[tokio::test]
async fn one_that_is_switched_off_or_removed_does_not_run() {
    let world = World::new();
    let mut process = world.start();
    let id = process.add(every(1, &world), text("a"), Missed::All).await;
    process.scheduler.switch(id, false).await.unwrap();
    world.pass(5 * MINUTE);
    assert_eq!(process.work().await, None);
    let on = process.scheduler.switch(id, true).await.unwrap();
    assert_eq!(on.next_at, Some(world.clock.now() + MINUTE), "nothing is made up");
    world.pass(MINUTE);
    process.work().await;
    assert_eq!(world.words(), ["a"]);
    assert!(process.scheduler.store.remove_schedule(&app(), id).await.unwrap());
    world.pass(MINUTE);
    assert_eq!(process.work().await, None);
    assert_eq!(process.scheduler.switch(id, true).await, Err(ScheduleError::Unknown(id.0)));
    let past = Timing::At { at: world.clock.now() };
    let past = process.add(past, text("b"), Missed::Once).await;
    assert_ne!(past, id, "no number is given twice");
    process.work().await;
    let over = process.scheduler.switch(past, true).await.unwrap_err();
    assert!(over.to_string().contains("nothing is ever due"), "{over}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_run_is_taken_once_and_sent_at_most_once_over_restarts(
        steps in proptest::collection::vec((0..3 * MINUTE, 0..40_u32, any::<bool>()), 1..12),
        policy in 0..3_usize,
        agent in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let missed = [Missed::Skip, Missed::Once, Missed::All][policy];
        let (due, sent, cut) = runtime.block_on(crashes(&steps, missed, agent));
        let mut times: Vec<_> = due.iter().map(|(due, _)| *due).collect();
        times.dedup();
        prop_assert_eq!(times.len(), due.len(), "a time was taken twice: {:?}", &due);
        let mut keys = sent.clone();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), sent.len(), "something was sent twice: {:?}", &sent);
        for (at, run) in &due {
            if run.state == RunState::Done {
                let key = format!(" run {} part 1", run.id.0);
                prop_assert!(sent.iter().any(|sent| sent.ends_with(&key)), "{at} was not sent");
            } else if run.state != RunState::Missed && run.state != RunState::Busy {
                let detail = run.detail.as_deref();
                prop_assert!(cut && detail == Some("interrupted"), "{run:?}");
            }
        }
    }
}

/// A schedule of one minute, and processes that break off here and there. Returns its runs by the times they
/// were due, the keys that were sent, and whether anything broke off.
async fn crashes(
    steps: &[(i64, u32, bool)],
    missed: Missed,
    agent: bool,
) -> (Vec<(i64, Run)>, Vec<String>, bool) {
    let world = World::new();
    let mut process = world.start();
    let task = if agent { Task::Agent("ask".to_owned()) } else { text("hi") };
    let id = process.add(every(1, &world), task, missed).await;
    let mut cut = false;
    for (ms, polls, crash) in steps {
        world.pass(*ms);
        process.scheduler.fire_due(&mut process.runs).await.unwrap();
        if *crash {
            for _ in 0..*polls {
                tokio::task::yield_now().await;
            }
            cut = true;
            process.crash().await;
            process = world.start();
            process.scheduler.resume(&mut process.runs).await.unwrap();
        } else {
            process.settle().await;
        }
    }
    process.settle().await;
    let mut runs = process.scheduler.store.runs(&app(), id, 999).await.unwrap();
    runs.sort_by_key(|run| run.due_at);
    let sent = world.sent.lock().unwrap().iter().map(|(key, _)| key.clone()).collect();
    (runs.into_iter().map(|run| (run.due_at, run)).collect(), sent, cut)
}
